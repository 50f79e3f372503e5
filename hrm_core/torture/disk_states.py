"""Every state in which a disk may be when the power goes, from what a process asked of it.

Torture room. Recording and a moment -> `State` values, and a state -> a folder. The rules are those of LazyFS and of
POSIX at its weakest: content of a file is there once it was synced, a name once its folder was; of what was not yet
synced the names may be there up to any point of their order (a rename is one change: never half), and of a file's
content nothing, a part, all, or its length in zeros.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

from hrm_core.torture.disk import ROOT, Recording

Loss = Literal["none of it", "half of it", "zeros", "all of it"]
LOSSES: Final[tuple[Loss, ...]] = ("none of it", "half of it", "zeros", "all of it")


@final
@dataclass(frozen=True)
class State:
    """What a disk may hold: path -> content, and its folders. `time`: calls made before the power went."""

    time: int
    names_until: int
    loss: Loss
    files: dict[str, bytes]
    folders: tuple[str, ...]


def durable(recording: Recording, number: int, time: int) -> bytes:
    """What of a file's content is certainly on the disk."""
    synced = recording.last_sync(number, time)
    known = synced >= 0 or -1 in recording.synced.get(number, ())
    return recording.blobs[recording.digest(number, synced)] if known else b""


def content(recording: Recording, number: int, time: int, loss: Loss) -> bytes:
    """A file's content after the power went, with this much of what was not synced."""
    whole = recording.blobs[recording.digest(number, time)]
    safe = durable(recording, number, time)
    if loss == "all of it" or whole == safe:
        return whole
    rest = whole[len(safe) :] if whole.startswith(safe) else whole
    safe = safe if whole.startswith(safe) else b""
    part = {"none of it": b"", "half of it": rest[: len(rest) // 2], "zeros": bytes(len(rest))}[loss]
    return safe + part


def _pending(recording: Recording, time: int) -> list[int]:
    """Moments at which a name changed that need not be on the disk at `time`."""
    moments = {-1}
    for number, history in recording.folders.items():
        synced = recording.last_sync(number, time)
        moments |= {at for at, _ in history if synced < at <= time}
    return sorted(moments)


def _walk(recording: Recording, number: int, time: int, until: int, place: str = "") -> Iterator[tuple[str, int]]:
    """(path, number) of all that has a name, folders with a "/" behind."""
    seen = max(until, recording.last_sync(number, time))
    for name, child in recording.entries(number, seen).items():
        if child in recording.folders:
            yield f"{place}{name}/", child
            yield from _walk(recording, child, time, until, f"{place}{name}/")
        else:
            yield f"{place}{name}", child


def states(recording: Recording, time: int) -> Iterator[State]:
    """The states in which the disk may be after `time` calls, each once."""
    seen: set[tuple[tuple[str, ...], tuple[tuple[str, bytes], ...]]] = set()
    for until in _pending(recording, time):
        named = list(_walk(recording, ROOT, time, until))
        folders = tuple(path for path, _ in named if path.endswith("/"))
        for loss in LOSSES:
            files = {path: content(recording, number, time, loss) for path, number in named if not path.endswith("/")}
            state = State(time, until, loss, files, folders)
            holds = (folders, tuple(sorted(files.items())))
            if holds not in seen:
                seen.add(holds)
                yield state


def lay_out(state: State, folder: Path, pool: dict[bytes, Path]) -> None:
    """Makes a new folder of a state. Larger files are links to `pool`'s: nothing that reads it writes to these."""
    for path in ("", *state.folders):
        (folder / path).mkdir()
    for path, data in state.files.items():
        if len(data) < 16384 or path.endswith((".jsonl", ".txt")):
            (folder / path).write_bytes(data)
            continue
        if data not in pool:
            pool[data] = folder.parent / f"pool-{len(pool)}"
            pool[data].write_bytes(data)
        os.link(pool[data], folder / path)
