"""Curves for terminals: a data layer without Textual and two renderers behind one interface."""
