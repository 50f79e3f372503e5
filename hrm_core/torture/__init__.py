"""Room `torture`: faults done to the tool on purpose, and what was lost: the table of docs/reliability.md."""
