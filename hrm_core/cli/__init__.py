"""The hrm command: one file per group of commands, imports inside the command."""
