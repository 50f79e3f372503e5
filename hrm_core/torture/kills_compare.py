"""Two run folders of one recipe: what differs but for clocks.

Torture room. The run left alone and the run that was killed -> phrases, none if they are the same run. Weights, state
and predictions must be equal byte for byte, rows in all columns but those of `runs.records.CLOCK_COLUMNS`. Left out are
events and log.txt (a resume adds to them), status.json and result.json (written at moments of the clock).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hrm_core.runs.atomic import is_leftover
from hrm_core.runs.files import read_json_object
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import events
from hrm_core.runs.records import without_clocks
from hrm_core.runs.snapshots import META_NAME, newest_first, read_meta, verify_folder
from hrm_core.runs.tail import JsonlTail
from hrm_core.runs.written import EVENTS, ROWS, look_through

# Time in a checkpoint's counters, and a checksum over it: what was trained is in the others.
_CLOCKS_OF_PROGRESS = frozenset({"elapsed_s", "row_seconds", "seconds_per_step", "crc"})
# Files of a snapshot that say when, not what.
_OF_THE_MOMENT = frozenset({META_NAME, "status.json", "log.txt"})


def differences(one: RunFolder, other: RunFolder, steps: Sequence[int]) -> list[str]:
    """What the killed run `other` has that differs from `one`, left alone; metrics must have just these `steps`."""
    found = [*_rows(one, other, steps), *_missing(other), *_same_file(one.recipe_toml, other.recipe_toml, "")]
    for place in ("checkpoints", "archive"):
        found += _snapshots(one.path / place, other.path / place)
    found += _folder(one.predictions, other.predictions, "predictions/")
    found += [f"{path.relative_to(other.path)} was left behind" for path in leftovers(other)]
    return found


def leftovers(folder: RunFolder) -> list[Path]:
    """Temporary files and folders of killed writers, anywhere in the run."""
    return sorted(path for path in folder.path.rglob(".*") if is_leftover(path.name))


def _whole_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Every row, and how many lines are none."""
    tail, rows = JsonlTail(path), []
    while more := tail.poll():
        rows += more
    return rows, tail.damaged


def _rows(one: RunFolder, other: RunFolder, steps: Sequence[int]) -> Iterator[str]:
    for name in ("metrics", "evaluations"):
        rows, _ = _whole_rows(getattr(one, name))
        others, damaged = _whole_rows(getattr(other, name))
        if damaged:
            yield f"{damaged} damaged lines in {name}"
        if name == "metrics":
            there = [row.get("step") for row in others]
            twice, missing = len(there) - len(set(there)), len(set(steps) - set(there))
            if there != list(steps):
                yield f"metrics: {twice} steps twice, {missing} missing, {len(there)} rows for {len(steps)} steps"
        if len(rows) != len(others):
            yield f"{name}: {len(others)} rows instead of {len(rows)}"
        for row, same in zip(rows, others, strict=False):
            odd = _other_keys(without_clocks(row), without_clocks(same))
            if odd:
                yield f"{name} at step {row.get('step')}: {', '.join(odd[:4])}"


def _missing(run: RunFolder) -> Iterator[str]:
    """A kill takes no row that was on the disk before a checkpoint: whoever says so is wrong."""
    yield from (f"said to be missing: {lack.sentence}" for lack in look_through(run).missing)
    yield from ("rows_missing, an event" for event in events(run) if event["kind"] == "rows_missing")


def _other_keys(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [key for key in sorted(one.keys() | other.keys()) if one.get(key, ...) != other.get(key, ...)]


def _snapshots(one: Path, other: Path) -> Iterator[str]:
    """Checkpoints or archived bests. A kill before the last pruning may leave an older checkpoint more: no harm."""
    names, others = ({path.name for path in newest_first(place)} for place in (one, other))
    for name in sorted(names):
        label = f"{one.name}/{name}/"
        if name not in others:
            yield f"{label} is missing"
            continue
        yield from (f"{label} {problem}" for problem in verify_folder(other / name))
        yield from _folder(one / name, other / name, label)
        if _meta(one / name) != _meta(other / name):
            yield f"{label}{META_NAME}"
    if one.name == "archive":
        yield from (f"{one.name}/{name}/ is too many" for name in sorted(others - names))


def _meta(folder: Path) -> dict[str, Any]:
    """meta.json without the run's name, which differs, without the digests of files that hold clocks, and without the
    number of events, of which a resumed run has more."""
    meta = {key: value for key, value in (read_meta(folder) or {}).items() if key not in ("run_id", "time_utc")}
    if ROWS in meta:
        meta[ROWS] = {name: count for name, count in meta[ROWS].items() if name != EVENTS}
    return meta


def _folder(one: Path, other: Path, label: str) -> Iterator[str]:
    names, others = ({path.name for path in place.iterdir()} for place in (one, other))
    yield from (f"{label}{name} is missing" for name in sorted(names - others))
    yield from (f"{label}{name} is too many" for name in sorted(others - names) if not is_leftover(name))
    for name in sorted((names & others) - _OF_THE_MOMENT):
        yield from _same_file(one / name, other / name, label)


def _same_file(one: Path, other: Path, label: str) -> Iterator[str]:
    same = _BY_CONTENT.get(one.name, _same_bytes)
    if not same(one, other):
        yield f"{label}{one.name} differs"


def _same_bytes(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


def _same_progress(one: Path, other: Path) -> bool:
    left, right = (json.loads(path.read_text(encoding="utf-8")) for path in (one, other))
    return set(_other_keys(left, right)) <= _CLOCKS_OF_PROGRESS


def _same_evaluation(one: Path, other: Path) -> bool:
    left, right = (read_json_object(path) for path in (one, other))
    return left is not None and right is not None and without_clocks(left) == without_clocks(right)


def _same_replay(one: Path, other: Path) -> bool:
    """The buffers but for the time at which a sample came in."""
    return _datasets(one) == _datasets(other)


def _datasets(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    import h5py

    found: dict[str, tuple[str, tuple[int, ...], bytes]] = {}

    def take(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and name.rpartition("/")[2] != "time":
            values = node[...]
            found[name] = (str(values.dtype), values.shape, values.tobytes())

    with h5py.File(io.BytesIO(path.read_bytes()), "r") as file:
        file.visititems(take)
    return found


_BY_CONTENT: dict[str, Callable[[Path, Path], bool]] = {
    "progress.json": _same_progress,
    "evaluation.json": _same_evaluation,
    "replay.h5": _same_replay,
}
