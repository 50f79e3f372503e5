"""A run's settings in words: what differs from EXP-00 first, who set it, then the rest and where the run was made.

run.json of a `RunLine`, and `Differences` that recipes.py found in a thread -> rows of Text. Where the recipe no longer
parses (a later version wrote it), run.json alone says which settings were not EXP-00's. No recipe is imported here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

from rich.text import Text

from hrm_console.rows.listing import RunLine
from hrm_console.theme import Palette
from hrm_console.words import middle, plain, table, wrap
from hrm_core.runs.files import items, mapping

CONTROL = "EXP-00"
DEEPEST = 5
VALUE = 12
NAMES = frozenset({"experiment", "preset"})


@final
@dataclass(frozen=True)
class Differences:
    """What a recipe changes of EXP-00: key, EXP-00's value, this run's; or in `problem` why that cannot be said."""

    problem: str = ""
    changes: tuple[tuple[str, str, str], ...] = ()


def config_rows(line: RunLine, found: Differences | None, palette: Palette, width: int) -> list[Text]:
    """Everything that the run was told."""
    recipe = dict(flat(mapping(line.run_json, "recipe")))
    if not recipe:
        return wrap("run.json holds no recipe.", width - 1, palette.muted, indent=" ")
    sources = mapping(line.run_json, "sources")
    known = found is not None and not found.problem
    changes = {key: (before, after) for key, before, after in found.changes} if known and found else {}
    changed = list(changes) if known else [key for key in recipe if sources.get(key, CONTROL) != CONTROL]
    changed = [key for key in changed if key not in NAMES]
    rows: list[Text] = []
    if found is not None and found.problem:
        rows += wrap(f"As written, unread: {found.problem}", width - 1, palette.warn, indent=" ")
    for title, keys in by_source(changed, sources):
        rows += [*([Text("")] if rows else []), _head(f"{title} ({len(keys)})", palette)]
        rows += _settings([(key, changes.get(key), recipe.get(key)) for key in keys], palette, width)
    if not changed:
        rows.append(_head("nothing differs from EXP-00", palette))
    rest = [key for key in recipe if key not in changed and key not in NAMES]
    rows += [Text(""), _head(f"as in EXP-00 ({len(rest)})", palette)]
    rows += _settings([(key, None, recipe[key]) for key in rest], palette, width)
    return [*rows, Text(""), _head("this run", palette), *table(_made(line), palette, width, indent="  ")]


def by_source(keys: list[str], sources: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Changed settings by who set them: the run's own overrides, the experiment, the preset last."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(str(sources.get(key) or "elsewhere"), []).append(key)

    def place(source: str) -> tuple[int, str]:
        return (0 if source == "override" else 2 if source.startswith("preset") else 1), source

    titles = {"override": "differs from EXP-00 by overrides"}
    return [(titles.get(name, f"differs from EXP-00 by {name}"), groups[name]) for name in sorted(groups, key=place)]


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted keys, as deep as settings go."""
    for name, value in tree.items():
        if isinstance(value, dict) and value and prefix.count(".") < DEEPEST:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def written(value: Any) -> str:
    """A setting as a person writes it."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _head(title: str, palette: Palette) -> Text:
    return plain(f" {title}", palette.strong)


def _settings(listed: list[tuple[str, tuple[str, str] | None, Any]], palette: Palette, width: int) -> list[Text]:
    column = min(max((len(key) for key, *_ in listed), default=0), max(12, width // 2))
    rows = []
    for key, change, value in listed:
        row = Text.assemble("  ", plain(f"{middle(key, column):<{column}}", palette.muted), "  ", no_wrap=True, end="")
        told = change[1] if change is not None else written(value)
        row.append_text(plain(f"{told:<{VALUE}}" if change is not None else told, palette.text))
        if change is not None:
            row.append_text(plain(f"  EXP-00: {change[0]}", palette.muted))
        row.truncate(width, overflow="ellipsis")
        rows.append(row)
    return rows


def _made(line: RunLine) -> list[tuple[str, str]]:
    """Where and from what the run was made."""
    told, versions = line.run_json, mapping(line.run_json, "versions")
    pairs = [
        (name, str(told[key]))
        for name, key in MADE
        if isinstance(told.get(key), (str, int, float)) and told.get(key) != ""
    ]
    pairs += [(name, str(versions[name])) for name in ("torch", "triton", "cuda", "python") if versions.get(name)]
    words = [str(word) for word in items(told, "command")]
    return pairs + ([("command", " ".join(["hrm", *words[1:]]))] if words else [])


MADE = (
    ("experiment", "experiment"),
    ("preset", "preset"),
    ("made", "created_utc"),
    ("from", "parent"),
    ("seed", "seed"),
    ("device", "device"),
    ("numbers", "dtype"),
    ("tasks", "tasks"),
    ("training pairs", "train_pairs"),
    ("data", "data"),
    ("digest", "data_digest"),
    ("commit", "commit"),
    ("recipe hash", "recipe_hash"),
)
