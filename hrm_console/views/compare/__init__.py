"""Two or more runs held against each other, in words and charts."""
