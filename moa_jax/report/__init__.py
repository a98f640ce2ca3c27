"""Self-contained HTML pages from typed parts: tables, heat maps, line charts and text."""
