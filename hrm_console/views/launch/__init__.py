"""What a new run would be: recipes, overrides, what it will take."""
