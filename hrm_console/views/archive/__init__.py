"""The archive in words."""
