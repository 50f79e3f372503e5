"""The ten experiments' ideas as plugs at named points; `compose.py` lists them by hand."""
