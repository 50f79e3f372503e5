"""Layers, the two levels, one reasoning segment, halting."""
