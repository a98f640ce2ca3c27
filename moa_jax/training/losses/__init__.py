"""What networks minimise: losses of one signature, and who learns from which examples."""
