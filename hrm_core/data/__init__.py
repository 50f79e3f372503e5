"""Sources -> tasks -> HDF5 -> batches on the device."""
