"""The queue in words."""
