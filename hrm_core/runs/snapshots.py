"""Room `runs`: the folders that hold weights, and whether they are still what was written.

A snapshot folder (`checkpoints/step-00002000`, `archive/best-00010000`) is made inside `atomic.atomic_folder`; its last
file is `meta.json`, one row with the size and sha256 of every other. Loaders of weights do not notice a flipped bit
(measured: 899 of 900 gave wrong values without an error), so `verify_folder` is called before any is loaded. What the
files hold is the trainer's affair.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hrm_core.runs.atomic import sibling, write_bytes
from hrm_core.runs.files import Row, integer, mapping, open_regular, read_small, string
from hrm_core.runs.formats import refuse_newer
from hrm_core.runs.records import decode_row, encode_row

META_NAME: Final = "meta.json"
FORMAT: Final = 1  # of a snapshot folder, as its meta.json says
_NAME: Final = re.compile(r"(?:step|best)-([0-9]{1,12})", re.ASCII)
_ASIDE: Final = "aside-"
_CHUNK: Final = 2**20
_TRIES: Final = 20


def file_digest(path: Path) -> tuple[str, int] | None:
    """sha256 and size in bytes; None if it is not a readable regular file."""
    descriptor = open_regular(path)
    if descriptor is None:
        return None
    with open(descriptor, "rb", buffering=0) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(descriptor).st_size
        except OSError:
            return None


def _listed(folder: Path) -> list[str]:
    """Every file under `folder` but meta.json, as paths with '/'."""
    found = []
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in names + links]
    return sorted(name for name in found if name != META_NAME)


def read_whole_meta(folder: Path) -> Row | None:
    """`meta.json` with `files` {name: {sha256, bytes}}, or None if it is missing or not what was written."""
    return decode_row(read_small(folder / META_NAME) or b"")


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Writes `meta.json` with `files` {name: {sha256, bytes}} of everything in `folder`; call it last."""
    files = {}
    for name in _listed(folder):
        digest = file_digest(folder / name)
        assert digest is not None, f"{name} is not a regular file"
        files[name] = {"sha256": digest[0], "bytes": digest[1]}
    write_bytes(folder / META_NAME, encode_row({**meta, "files": files}))


def read_meta(folder: Path) -> Row | None:
    """What was given to `write_meta`, or None if `meta.json` is missing or not what was written."""
    meta = read_whole_meta(folder)
    return None if meta is None else {key: value for key, value in meta.items() if key != "files"}


def refuse_newer_snapshot(folder: Path) -> None:
    """UserError (1) if the folder's `meta.json` says a newer format than ours; call it before what it holds is read."""
    refuse_newer(read_whole_meta(folder), FORMAT, folder)


def verify_folder(folder: Path) -> list[str]:
    """What is wrong with a snapshot folder, a phrase each; empty if every byte is as it was written (1.9 GB/s).

    A folder that is replaced or removed meanwhile is looked at anew: the halves of two are not what is asked for.
    """
    problems: list[str] = []
    for _ in range(_TRIES):
        before = _mark(folder)
        problems = _problems(folder)
        if not problems or _mark(folder) == before:
            break
    return problems


def _mark(folder: Path) -> tuple[int, int] | None:
    try:
        state = os.stat(folder)
    except OSError:
        return None
    return (state.st_mtime_ns, state.st_ino)


def _problems(folder: Path) -> list[str]:
    if not folder.is_dir():
        return ["there is no such folder"]
    if not (folder / META_NAME).is_file():
        return [f"{META_NAME} is missing"]
    meta = read_whole_meta(folder)
    if meta is None:
        return [f"{META_NAME} has changed since it was written"]
    expected, present = mapping(meta, "files"), _listed(folder)
    problems = [f"{name} is missing" for name in sorted(set(expected) - set(present))]
    problems += [f"{name} does not belong here" for name in present if name not in expected]
    for name in present:
        if name not in expected:
            continue
        size, digest = integer(expected[name], "bytes"), string(expected[name], "sha256")
        found = file_digest(folder / name)
        if found is None:
            problems.append(f"{name} cannot be read")
        elif found[1] != size:
            problems.append(f"{name} has {found[1]} bytes instead of {size}")
        elif found[0] != digest:
            problems.append(f"{name} has changed since it was written")
    return problems


def step_of(folder: Path) -> int | None:
    """The step in a snapshot folder's name, or None for another name."""
    match = _NAME.fullmatch(folder.name)
    return None if match is None else int(match[1])


def newest_first(parent: Path) -> list[Path]:
    """Snapshot folders in `checkpoints/` or `archive/`, the highest step first; whole or not is not looked at."""
    try:
        folders = [parent / name for name in os.listdir(parent) if _NAME.fullmatch(name)]
    except OSError:
        return []
    # No links: pruning what came from elsewhere must not reach out of the run.
    real = [path for path in folders if path.is_dir() and not path.is_symlink()]
    return sorted(real, key=lambda path: step_of(path) or 0, reverse=True)


def latest_good(
    parent: Path, max_step: int | None = None, on_bad: Callable[[Path, list[str]], None] | None = None
) -> Path | None:
    """The newest whole snapshot in `parent` (at `max_step` or before); `on_bad` hears of each damaged newer one."""
    for folder in newest_first(parent):
        if max_step is not None and (step_of(folder) or 0) > max_step:
            continue
        problems = verify_folder(folder)
        if not problems:
            return folder
        if on_bad is not None:
            on_bad(folder, problems)
    return None


def prune(parent: Path, keep: int, also: Collection[int] = ()) -> list[Path]:
    """Removes all but the newest `keep` snapshots and those at the steps in `also`; gives those removed."""
    gone = [path for path in newest_first(parent)[keep:] if step_of(path) not in also]
    for path in gone:
        remove_snapshot(path)
    return gone


def put_aside(parent: Path, after: int) -> list[str]:
    """Renames all snapshots of steps beyond `after`, to names that nobody takes for a snapshot; gives the old names.

    For a run that goes back: they belong to steps that it makes anew, and the newest one must not be gone on from.
    What the disk does not let go stays.
    """
    moved = []
    for path in newest_first(parent):
        if (step_of(path) or 0) > after:
            number = 1
            while os.path.lexists(aside := parent / f"{_ASIDE}{number}-{path.name}"):
                number += 1
            try:
                os.rename(path, aside)
            except OSError:
                continue
            moved.append(path.name)
    return moved


def remove_set_aside(parent: Path) -> None:
    """Removes what `put_aside` has put there."""
    try:
        names = os.listdir(parent)
    except OSError:
        return
    for name in names:
        if name.startswith(_ASIDE):
            shutil.rmtree(parent / name, ignore_errors=True)


def remove_snapshot(folder: Path) -> None:
    """Removes a snapshot folder, as far as the disk lets it. OSError where it may not even begin."""
    # Under a leftover's name first: a removal cut short is ended by the run's next start, and no reader sees it.
    gone = sibling(folder, "tmp")
    os.rename(folder, gone)
    shutil.rmtree(gone, ignore_errors=True)
    if os.path.lexists(gone):  # the disk keeps a part: under its own name, where it can be seen
        with suppress(OSError):
            os.rename(gone, folder)
