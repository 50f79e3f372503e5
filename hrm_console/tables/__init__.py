"""The table of everything that a key does, one file a screen; `hrm_console.actions` puts them together."""
