"""From a run to the launch form: made longer, or a new run from its weights with a change.

A `RunLine`'s run.json -> experiment, overrides and snapshot that fill the form in. Nothing is started here, and no
recipe is imported: the form checks what it is given.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hrm_console.rows.listing import RunLine
from hrm_console.words import LIVE
from hrm_core.errors import UserError
from hrm_core.runs.layout import check_name
from hrm_core.runs.text import clean

if TYPE_CHECKING:
    from hrm_console.app import ConsoleApp

DEEPEST = 6


def extend(app: ConsoleApp, line: RunLine | None) -> None:
    """Open the form that asks for a run's new length."""
    if line is None or not _has_a_name(app, line):
        return
    if line.state in LIVE:
        app.say(f"{line.run_id} is {line.state}; stop it first, or wait for its end, to make it longer", bad=True)
        return
    app.go("launch", "", "", "", "", line.run_id)


def fork(app: ConsoleApp, line: RunLine | None) -> None:
    """Open the form with a run's experiment and overrides, to start from its best weights."""
    if line is None or not _has_a_name(app, line):
        return
    app.go("launch", line.experiment, overrides_of_run(line.run_json), f"{line.run_id}@{best_or_last(line)}", "", "")


def _has_a_name(app: ConsoleApp, line: RunLine) -> bool:
    """Whether commands can name the run; a folder made by others may be called anything."""
    try:
        check_name(line.run_id)
    except UserError as error:
        app.say(error.message, bad=True)
        return False
    return True


def best_or_last(line: RunLine) -> str:
    """The snapshot to begin with: the best one where there is one."""
    return "last" if line.best is None else "best"


def overrides_of_run(run_json: Mapping[str, Any]) -> str:
    """The overrides that a run was started with, preset first, as one would type them."""
    sources, recipe = run_json.get("sources"), run_json.get("recipe")
    if not isinstance(sources, dict) or not isinstance(recipe, dict):
        return ""
    preset = run_json.get("preset")
    words = [f"preset={preset}"] if isinstance(preset, str) and preset else []
    for key, source in sources.items():
        if key in ("preset", "experiment") or not isinstance(source, str) or not source.startswith("override"):
            continue
        found, value = _value(recipe, str(key))
        if found:
            words.append(f"{key}={_typed(value)}")
    return clean(shlex.join(words))


def _value(tree: Any, key: str) -> tuple[bool, Any]:
    for name in key.split(".")[:DEEPEST]:
        if not isinstance(tree, dict) or name not in tree:
            return False, None
        tree = tree[name]
    return not isinstance(tree, dict), tree


def _typed(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(_typed, value)) if isinstance(value, list) else str(value)
