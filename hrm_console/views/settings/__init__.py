"""Settings and keys in words."""
