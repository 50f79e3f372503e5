"""What run folders hold, read in a thread and kept as curves, lines and events. No Textual here."""
