"""The index of a metrics file: its rows as columns, kept between starts under the cache folder. No Textual here.

metrics.jsonl -> `<cache>/rows/<device>-<inode>.index`: a header frame (format, the file, how far it was read, marks of
its first and last bytes, state of the axes) and frames of blocks. Named by the file itself and not by its path, so that
a run that is renamed or linked keeps its index. Replaced whole, so two consoles may write at once. An index of another
format, damaged, or of a file that was cut or replaced counts as none. The oldest are dropped above a budget.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from hrm_console.rows.axes import Axes
from hrm_console.rows.blocks import Block
from hrm_console.rows.frames import block_of, pack, pack_block, unpack
from hrm_core.runs.files import open_regular, read_at
from hrm_core.runs.tail import Place
from hrm_core.runs.user_settings import cache_dir

FORMAT = 2
BUDGET_BYTES = 512 * 2**20
HEAD_BYTES = 64
MOST_BYTES = 2**30  # an index beyond it was not written here
BLOCK_ROWS = 20_000
SUFFIX, TEMPORARY = ".index", ".tmp"


@final
@dataclass
class Index:
    """Rows of a metrics file up to a place in it. thinned: how many rows lie behind one kept row, 1 = all are kept."""

    place: Place
    head: bytes
    blocks: list[Block]
    axes: Axes = field(default_factory=Axes)
    thinned: int = 1


def index_folder() -> Path:
    """Where indexes lie."""
    return cache_dir() / "rows"


def index_path(folder: Path, descriptor: int) -> Path:
    """The index of an open file."""
    state = os.fstat(descriptor)
    return folder / f"{state.st_dev:x}-{state.st_ino:x}{SUFFIX}"


def head_of(descriptor: int, offset: int) -> bytes:
    """The first bytes of what was read."""
    return read_at(descriptor, 0, min(offset, HEAD_BYTES))


def load_index(folder: Path, descriptor: int, behind_bytes: int | None = None) -> Index | None:
    """The index of an open metrics file, if there is a sound one; with `behind_bytes` only if it is no further behind.

    Costs a read of the header where the index is stale.
    """
    path = index_path(folder, descriptor)
    own = open_regular(path)
    if own is None:
        return None
    try:
        with open(own, "rb", buffering=2**20) as file:
            if os.fstat(own).st_size > MOST_BYTES:
                return None
            index = _header(unpack(file.read), descriptor)
            if index is None:
                return None
            if behind_bytes is not None and os.fstat(descriptor).st_size - index.place.offset > behind_bytes:
                return None
            while (frame := unpack(file.read)) is not None:
                index.blocks.append(block_of(*frame))
        with suppress(OSError):
            os.utime(path)  # the budget drops what was not used for longest
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return index if index.blocks else None


def _header(frame: tuple[dict[str, Any], memoryview] | None, descriptor: int) -> Index | None:
    """An index without its blocks, if it is one of the open file as that is now."""
    if frame is None or frame[0].get("format") != FORMAT:
        return None
    header = frame[0]
    place = Place(header["device"], header["inode"], header["offset"], bytes.fromhex(header["mark"]))
    head = bytes.fromhex(header["head"])
    if not place.holds(descriptor) or head_of(descriptor, place.offset) != head:
        return None
    return Index(place, head, [], Axes.from_state(header["axes"]), int(header["thinned"]))


def save_index(folder: Path, index: Index, source: Path, budget_bytes: int = BUDGET_BYTES) -> Path | None:
    """Write an index; None where the disk refuses. What is lost with the power is not waited for."""
    place = index.place
    header = {
        "format": FORMAT,
        "source": str(source),
        "device": place.device,
        "inode": place.inode,
        "offset": place.offset,
        "mark": place.mark.hex(),
        "head": index.head.hex(),
        "axes": index.axes.state(),
        "thinned": index.thinned,
    }
    path = folder / f"{place.device:x}-{place.inode:x}{SUFFIX}"
    temporary = folder / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                for part in (pack(header), *map(pack_block, index.blocks)):
                    file.write(part)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError:
        return None
    keep_to_budget(folder, budget_bytes, keep=path)
    return path


def keep_to_budget(folder: Path, budget_bytes: int, keep: Path | None = None) -> Sequence[Path]:
    """Remove the indexes that were not used for longest until the rest fit, and what a killed writer left behind."""
    found = []
    removed = []
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.endswith((SUFFIX, TEMPORARY))]
        for entry in entries:
            state = entry.stat(follow_symlinks=False)
            found.append((state.st_mtime, state.st_size, Path(entry.path)))
    except OSError:
        return []
    newest = max((time for time, _, _ in found), default=0.0)
    total = sum(size for _, size, _ in found)
    for time, size, path in sorted(found):
        stale = path.name.endswith(TEMPORARY) and newest - time > 3600
        if path != keep and (stale or total > budget_bytes):
            with suppress(OSError):
                path.unlink()
                removed.append(path)
                total -= size
    return removed
