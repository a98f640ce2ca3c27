"""One self-contained HTML page from typed parts: tables, heat maps, line charts and text."""
