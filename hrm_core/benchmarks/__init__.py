"""Measuring and checking operations on this machine: kernels, launch tables, and everything at once on a GPU."""
