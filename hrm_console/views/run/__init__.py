"""One run in charts and words."""
