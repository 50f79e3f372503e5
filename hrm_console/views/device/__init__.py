"""GPU and host in words and curves."""
