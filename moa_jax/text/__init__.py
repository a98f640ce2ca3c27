"""Text files that people bring: decoding, records, tables in any dialect."""
