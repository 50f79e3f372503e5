"""The list of runs: columns, order, what happened meanwhile."""
