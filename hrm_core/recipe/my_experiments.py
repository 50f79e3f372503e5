"""The user's own experiments: a named experiment, a preset and overrides, kept under a name of the user's.

Recipe room; free of torch. `~/.config/hrm-console/experiments/NAME.toml` <-> `Experiment`. A file is data from outside:
what is no experiment is said and left out; one that is not as it was saved (the digest in its first line) is used, and
that is said. Built-in names cannot be taken. The built-in table is given by the caller
(`experiments.py`), and how overrides are laid is in `lay.py`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import tomli_w

from hrm_core.errors import UserError
from hrm_core.recipe.digest_line import is_as_written, with_digest
from hrm_core.recipe.experiment import Experiment
from hrm_core.recipe.keys import nearest
from hrm_core.runs.atomic import explain_os_error, write_bytes
from hrm_core.runs.files import read_small
from hrm_core.runs.layout import check_name
from hrm_core.runs.text import clean
from hrm_core.runs.user_settings import config_dir

MAX_NAME: Final = 40
"""A run's name adds date and letters to it."""
MAX_FILES: Final = 500
_MAX_BYTES: Final = 64 * 1024
_TEXTS: Final = ("base", "preset", "title", "hypothesis")


@final
@dataclass(frozen=True)
class MyExperiment:
    """What a file says. `overrides` are `key=value`, without preset; texts may be empty."""

    name: str
    base: str
    preset: str
    overrides: tuple[str, ...] = ()
    title: str = ""
    hypothesis: str = ""


def experiments_dir() -> Path:
    """The folder of the files; it need not exist. UserError where there is no home."""
    return config_dir() / "experiments"


def checked_name(name: str, known: Mapping[str, Experiment]) -> str:
    """The name, or UserError: not allowed, too long for a run's name, or a built-in experiment's."""
    check_name(name)
    if len(name) > MAX_NAME:
        raise UserError(f"{name} is too long for an experiment; use at most {MAX_NAME} characters")
    taken = {built_in.lower(): built_in for built_in in known}.get(name.lower())
    if taken is not None:
        raise UserError(f"{name}: {taken} is built in; choose another name")
    return name


def experiment_of(mine: MyExperiment, known: Mapping[str, Experiment]) -> Experiment:
    """As the table of experiments has them. UserError: the base is none, or does not have the preset."""
    base = known.get(mine.base)
    if base is None:
        wanted = mine.base[:80]
        raise UserError(f"{mine.name} builds on {clean(wanted)}, which is no experiment{nearest(wanted, dict(known))}")
    if mine.preset not in base.presets:
        raise UserError(
            f"{mine.name}: {mine.base} has no preset {clean(mine.preset[:80])}; there are {', '.join(base.presets)}"
        )
    for override in mine.overrides:
        key, equals, _ = override.partition("=")
        if not equals or key.strip() in ("", "preset", "experiment"):
            raise UserError(
                f"{mine.name}: {clean(override[:80])!r} is no override; write key=value, such as training.batch=32"
            )
    changes = " ".join(mine.overrides)
    return replace(
        base,
        name=mine.name,
        title=mine.title or f"{mine.base} with {changes or 'preset ' + mine.preset}",
        hypothesis=mine.hypothesis or f"None was written down. {mine.base} has: {base.hypothesis}",
        setup=f"{mine.base}, preset {mine.preset}" + (f", with {changes}." if changes else "."),
        presets=(mine.preset, *(preset for preset in base.presets if preset != mine.preset)),
        base=mine.base,
        overrides=mine.overrides,
    )


def parse_mine(name: str, data: bytes) -> MyExperiment:
    """The content of a file. UserError with what is wrong."""
    try:
        tree: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is no TOML: {clean(str(error)[:200])}") from None
    unknown = sorted(set(tree) - {*_TEXTS, "overrides"})
    if unknown:
        raise UserError(f"{name}: {clean(unknown[0][:80])} is unknown; there are {', '.join(_TEXTS)}, overrides")
    texts = {key: tree.get(key, "") for key in _TEXTS}
    wrong = next((key for key, value in texts.items() if not isinstance(value, str)), None)
    overrides = tree.get("overrides", [])
    if wrong is not None or not isinstance(overrides, list) or not all(isinstance(word, str) for word in overrides):
        raise UserError(f"{name}: {wrong or 'overrides'} must be {'text' if wrong else 'a list of texts'}")
    return MyExperiment(name, overrides=tuple(overrides), **texts)


def find_mine(name: str, known: Mapping[str, Experiment], folder: Path | None = None) -> Experiment | None:
    """The user's experiment of that name, None where there is no such file. UserError for a damaged one."""
    try:
        path = (experiments_dir() if folder is None else folder) / f"{checked_name(name, known)}.toml"
    except UserError:
        return None
    if not os.path.lexists(path):  # Path.exists would raise where the folder may not be looked into
        return None
    data = read_small(path, _MAX_BYTES)
    if data is None:
        raise UserError(f"{clean(path)} cannot be read as an experiment; repair or delete it")
    found = experiment_of(parse_mine(name, data), known)
    if is_as_written(data.decode("utf-8")):
        return found
    note = f"{name} is not as it was saved; if you changed {clean(path)}, take its first line out"
    return replace(found, note=note, setup=f"{found.setup} Its file is not as it was saved.")


def read_mine(
    known: Mapping[str, Experiment], folder: Path | None = None
) -> tuple[dict[str, Experiment], tuple[str, ...]]:
    """All of the user's experiments by name, and what is wrong with files that are left out, a sentence each."""
    found: dict[str, Experiment] = {}
    problems: list[str] = []
    try:
        folder = experiments_dir() if folder is None else folder
        paths = sorted(path for path in folder.glob("*.toml") if not path.name.startswith("."))
    except (UserError, OSError) as error:
        return {}, (clean(error),)
    if len(paths) > MAX_FILES:
        problems.append(f"{clean(folder)} holds {len(paths)} files; the first {MAX_FILES} are read")
    for path in paths[:MAX_FILES]:
        try:
            experiment = find_mine(checked_name(path.stem, known), known, folder)
        except UserError as error:
            problems.append(f"{clean(path)}: {error.message}")
            continue
        if experiment is not None:
            found[experiment.name] = experiment
    return found, tuple(problems)


def merged_overrides(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """Overrides laid over others: a key that both have comes from the second."""
    later = {override.partition("=")[0].strip() for override in second}
    return (*(override for override in first if override.partition("=")[0].strip() not in later), *second)


def write_mine(
    mine: MyExperiment, known: Mapping[str, Experiment], folder: Path | None = None, *, replace_it: bool = False
) -> Path:
    """Keeps an experiment; gives the file. UserError: a name or content that cannot be, or a disk that refuses.

    A name that is there already is refused, unless `replace_it`.
    """
    checked_name(mine.name, known)
    experiment_of(mine, known)
    path = (experiments_dir() if folder is None else folder) / f"{mine.name}.toml"
    if path.exists() and not replace_it:
        raise UserError(f"{mine.name} is there already; choose another name")
    content = {key: getattr(mine, key) for key in _TEXTS} | {"overrides": list(mine.overrides)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, with_digest(tomli_w.dumps(content)).encode("utf-8"))
    except OSError as error:
        raise explain_os_error(error) from error
    return path
