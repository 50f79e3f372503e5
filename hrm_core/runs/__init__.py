"""The run folder: layout, records, one writer, one reader, locks, control files. Free of torch."""
