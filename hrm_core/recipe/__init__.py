"""What a run is: typed, strict, free of torch."""
