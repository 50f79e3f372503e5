"""What a run answered, as grids and words."""
