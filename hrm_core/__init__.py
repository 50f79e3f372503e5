"""The engine of hrm-console, room by room; README.md beside this file is the walk through it."""
