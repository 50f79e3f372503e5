"""The engine of hrm-console: recipes, runs, data, model, learning, training, evaluation, commands. See README.md beside this file."""
