"""The terminal app: screens and widgets over run folders."""
