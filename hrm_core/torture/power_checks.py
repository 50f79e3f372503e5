"""What must hold after lost power: the order of the calls, and what a rebuilt disk gives to those who read it.

Torture room. Recording -> broken orders; a state laid out as a folder -> what is wrong with it, a phrase each with the
kind of write that is to blame. What a disk may hold is `disk_states.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from hrm_core.runs.atomic import clean_leftovers, is_leftover
from hrm_core.runs.files import integer
from hrm_core.runs.records import decode_row
from hrm_core.runs.snapshots import META_NAME, latest_good, step_of, verify_folder
from hrm_core.torture.disk import ROOT, Call, Recording
from hrm_core.torture.disk_states import State, durable

KINDS: Final = {
    "status": "status.json",
    "run": "run.json, recipe.toml, policy.json, result.json and the run's own folders",
    "rows": "rows of metrics, evaluations, events and the log",
    "checkpoint": "checkpoint folders",
    "archive": "archived bests",
    "predictions": "predictions and their index",
    "queue": "the queue's file",
    "settings": "the settings file",
    "export": "an export as a folder and as one file",
}
_RENAMES: Final = ("rename", "replace")
_SYNCS: Final = ("fsync", "fdatasync")


@final
@dataclass(frozen=True)
class Put:
    """Something that got its name: when (calls made then), and from when on it was said to be kept."""

    path: str
    number: int
    time: int
    promised: int


def kind_of(path: str) -> str:
    """Which kind of write a path is of."""
    parts = Path(path).parts
    for name, folder in (("checkpoint", "checkpoints"), ("archive", "archive"), ("predictions", "predictions")):
        if folder in parts:
            return name
    for name, folder in (("queue", "queue"), ("settings", "config"), ("export", "out")):
        if folder in parts[:2]:
            return name
    if "status.json" in Path(path).name:
        return "status"
    return "rows" if path.endswith((".jsonl", "log.txt")) else "run"


def _following(calls: list[Call], place: int) -> Iterator[tuple[int, Call]]:
    """(place, call) of the calls that the same thread makes after this one."""
    thread = calls[place].thread
    return ((at, call) for at, call in enumerate(calls[place + 1 :], place + 1) if call.thread == thread)


def _parent(path: str) -> str:
    return Path(path).parent.as_posix()


def _renames(recording: Recording) -> Iterator[tuple[int, Call, int]]:
    """(place, call, number) of every rename that puts something in its place; those that move it aside are not."""
    for place, call in enumerate(recording.calls):
        if call.name in _RENAMES and not call.target.startswith("/") and not is_leftover(Path(call.target).name):
            number = recording.find(call.target, place + 1)
            if number is not None:
                yield place, call, number


def puts(recording: Recording) -> list[Put]:
    """All that got a name by a rename, in order. It is promised once its writer goes on to something else."""
    found = []
    for place, call, number in _renames(recording):
        following = next(_following(recording.calls, place), None)
        synced = following is not None and following[1].name in _SYNCS and following[1].path == _parent(call.target)
        promised = following[0] + 1 if synced and following is not None else place + 1
        found.append(Put(call.target, number, place + 1, promised))
    return found


def _unsynced(recording: Recording, number: int, time: int) -> Iterator[str]:
    """What below a file or folder is not on the disk."""
    if number in recording.files:
        if durable(recording, number, time) != recording.blobs[recording.digest(number, time)]:
            yield "content"
        return
    if recording.entries(number, recording.last_sync(number, time)) != recording.entries(number, time):
        yield "names"
    for child in recording.entries(number, time).values():
        yield from _unsynced(recording, child, time)


def broken_orders(recording: Recording) -> dict[str, list[str]]:
    """kind -> a phrase for each rename, empty where fsync, rename and fsync of the folder came in this order."""
    found: dict[str, list[str]] = {}
    for place, call, number in _renames(recording):
        before = next(_unsynced(recording, number, place), "")
        after = next(_following(recording.calls, place), None)
        folder_synced = after is not None and after[1].name in _SYNCS and after[1].path == _parent(call.target)
        problem = f"{call.target}: {before} not synced before its rename" if before else ""
        if not problem and not folder_synced:
            problem = f"{call.target}: its folder was not synced after the rename"
        found.setdefault(kind_of(call.target), []).append(problem)
    return found


def wrong_files(recording: Recording, listed: list[Put], state: State) -> Iterator[tuple[str, str]]:
    """(kind, phrase) for every single file that is neither as it was last kept, nor newer."""
    for path in sorted({put.path for put in listed if put.number in recording.files and put.time <= state.time}):
        if any(part.startswith(".") for part in Path(path).parts):
            continue  # below a folder that has no name yet
        versions = [put for put in listed if put.path == path and put.time <= state.time]
        kept = max((at for at, put in enumerate(versions) if put.promised <= state.time), default=None)
        removed = recording.find(path, state.time) is None
        allowed = versions if removed or kept is None else versions[kept:]
        known = [recording.blobs[recording.digest(put.number, put.time)] for put in allowed]
        if path in state.files:
            if state.files[path] not in known:
                yield kind_of(path), f"{path} is neither the content last kept nor a newer one"
        elif kept is not None and not removed:
            yield kind_of(path), f"{path} is gone"


def wrong_rows(recording: Recording, state: State) -> Iterator[tuple[str, str]]:
    """(kind, phrase) for every file of rows that lacks rows which were synced, or has others than were written."""
    for path, number in _appended(recording, ROOT, state.time):
        kept = durable(recording, number, state.time)
        if path not in state.files:
            if kept:
                yield "rows", f"{path} is gone"
            continue
        written = recording.blobs[recording.digest(number, state.time)]
        rows, safe, whole = (_lines(data, path) for data in (state.files[path], kept, written))
        if rows != whole[: len(rows)] or len(rows) < len(safe):
            yield "rows", f"{path} has {len(rows)} rows, {len(safe)} were synced"


def _appended(recording: Recording, number: int, time: int, place: str = "") -> Iterator[tuple[str, int]]:
    for name, child in recording.entries(number, time).items():
        if child in recording.folders:
            yield from _appended(recording, child, time, f"{place}{name}/")
        elif place.count("/") == 1 and (name.endswith(".jsonl") or name == "log.txt"):
            yield f"{place}{name}", child


def _lines(data: bytes, path: str) -> list[object]:
    """Rows that are whole; of a log its whole lines."""
    lines = data.split(b"\n")[:-1]
    if path.endswith(".txt"):
        return [line for line in lines if line and b"\0" not in line]
    return [row for row in map(decode_row, lines) if row is not None]


def wrong_snapshots(recording: Recording, listed: list[Put], state: State, folder: Path) -> Iterator[tuple[str, str]]:
    """(kind, phrase) for every snapshot that has its name and is not whole, and where a kept one does not load."""
    places = sorted({_parent(put.path) for put in listed if step_of(folder / put.path) is not None})
    for place in places:
        clean_leftovers(folder / place)  # as the next writer does
        for path in sorted((folder / place).glob("*-*")):
            inside = f"{place}/{path.name}"
            # One that is being removed loses its meta.json first.
            removed = recording.find(f"{inside}/{META_NAME}", state.time) is None
            if not removed and step_of(path) is not None and (problems := verify_folder(path)):
                yield kind_of(inside), f"{inside}: {problems[0]}"
        kept = [step_of(Path(put.path)) or 0 for put in listed if _is_kept(recording, put, place, state.time)]
        good = latest_good(folder / place)
        step = -1 if good is None else step_of(good) or 0
        if kept and step < max(kept):
            yield kind_of(f"{place}/x"), f"{place}: step {max(kept)} was kept, step {step} loads"
        if good is not None and kind_of(f"{place}/x") == "checkpoint":
            yield from _rows_behind(recording, state, f"{_parent(place)}/metrics.jsonl", step)


def wrong_exports(recording: Recording, listed: list[Put], state: State, folder: Path) -> Iterator[tuple[str, str]]:
    """(kind, phrase) for every other folder that has its name and is not whole, or was kept and is gone."""
    for put in listed:
        if put.number in recording.files or step_of(Path(put.path)) is not None or put.time > state.time:
            continue
        if (folder / put.path).is_dir():
            yield from ((kind_of(put.path), f"{put.path}: {problem}") for problem in verify_folder(folder / put.path))
        elif put.promised <= state.time:
            yield kind_of(put.path), f"{put.path} is gone"


def _is_kept(recording: Recording, put: Put, place: str, time: int) -> bool:
    there = recording.find(f"{put.path}/{META_NAME}", time) is not None
    return _parent(put.path) == place and step_of(Path(put.path)) is not None and put.promised <= time and there


def _rows_behind(recording: Recording, state: State, path: str, step: int) -> Iterator[tuple[str, str]]:
    """A checkpoint must not be ahead of the rows that belong to it."""
    number = recording.find(path, state.time)
    written = b"" if number is None else recording.blobs[recording.digest(number, state.time)]
    wanted, found = (
        sum((integer(row, "step") or 0) <= step for row in _lines(data, path))
        for data in (written, state.files.get(path, b""))
    )
    if found < wanted:
        yield "rows", f"{path}: {found} of the {wanted} rows up to the checkpoint of step {step}"
