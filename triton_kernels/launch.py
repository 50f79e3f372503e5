"""How each kernel is launched: tile sizes, warps and stages by architecture and shape, and whether a GPU has proven it.

Input: `<op>/launch.json`, a list of rows per kernel; output: a `Meta`. The rows are written by hand (checked by
compiling ahead of time, `aot.py`) and rewritten by `hrm bench tune` on a GPU. There is no autotuner: it cannot run in
the interpreter, and inside a captured graph it would tune against launch costs that are not there. `verified` names
the commit and date of a green `hrm bench gpu-all` in which the operation beat its peer; without it the kernel is not
the default (`runtime.py`). For the tuner and the checks, `override` puts a row in for a while and `recording` tells
which rows were asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent
# Jetson Orin, GeForce and workstation Ada, Hopper: what the tables have rows for.
ARCHITECTURES = (87, 89, 90)


class Meta(NamedTuple):
    """One row. blocks: constexpr tile sizes by name; verified: {"commit": ..., "date": ...} or None."""

    arch: int
    shape: dict[str, int]
    blocks: dict[str, int]
    num_warps: int
    num_stages: int
    verified: dict[str, str] | None

    def options(self) -> dict[str, int]:
        """Keyword arguments of a launch: tile sizes, num_warps, num_stages."""
        return {**self.blocks, "num_warps": self.num_warps, "num_stages": self.num_stages}


# (operation, kernel, architecture, shape): names one row.
RowName = tuple[str, str, int, tuple[tuple[str, int], ...]]
_overrides: dict[RowName, Meta] = {}
_recorder: set[RowName] | None = None


def row_name(op: str, kernel: str, row: Meta) -> RowName:
    """What tells this row from all others."""
    return op, kernel, row.arch, tuple(sorted(row.shape.items()))


def table(op: str) -> dict[str, tuple[Meta, ...]]:
    """All rows of an operation by kernel name."""
    rows = _committed(op)
    for (name, kernel, *_), row in _overrides.items():
        if name == op:
            others = tuple(old for old in rows[kernel] if (old.arch, old.shape) != (row.arch, row.shape))
            rows = {**rows, kernel: (*others, row)}
    return rows


@contextmanager
def override(op: str, kernel: str, arch: int, row: Meta) -> Iterator[None]:
    """Puts `row` in as that of `arch` for its shape within a block, in place of the one that is there."""
    placed = row._replace(arch=arch)
    name = row_name(op, kernel, placed)
    before = _overrides.pop(name, None)
    _overrides[name] = placed
    try:
        yield
    finally:
        del _overrides[name]
        if before is not None:
            _overrides[name] = before


@contextmanager
def recording() -> Iterator[set[RowName]]:
    """The rows that launches within the block have used, in any thread."""
    global _recorder
    before, _recorder = _recorder, set()
    try:
        yield _recorder
    finally:
        _recorder = before


@cache
def _committed(op: str) -> dict[str, tuple[Meta, ...]]:
    raw: dict[str, list[dict[str, Any]]] = json.loads((ROOT / op / "launch.json").read_text(encoding="utf-8"))
    return {kernel: tuple(Meta(**row) for row in rows) for kernel, rows in raw.items()}


def find(op: str, kernel: str, arch: int, **shape: int) -> Meta | None:
    """The row for the newest architecture not newer than `arch` whose shape is part of this one; None where none is."""
    rows = [row for row in table(op)[kernel] if row.shape.items() <= shape.items() and row.arch <= arch]
    return max(rows, key=lambda row: row.arch, default=None)


def launch(op: str, kernel: str, arch: int, **shape: int) -> Meta:
    """As `find`; ValueError that names the kernel and the shapes it has where there is no row."""
    row = find(op, kernel, arch, **shape)
    if row is None:
        have = sorted({(known.arch, *known.shape.items()) for known in table(op)[kernel]})
        raise ValueError(f"{op}.{kernel}: no launch row for sm_{arch} {shape}; there are {have}")
    if _recorder is not None:
        _recorder.add(row_name(op, kernel, row))
    return row


def forget() -> None:
    """Reads the files again at the next question; for whoever has rewritten one."""
    _committed.cache_clear()


def is_verified(op: str, arch: int, **shape: int) -> bool:
    """Whether every kernel of the operation that has rows for this shape has a verified one on exactly `arch`."""
    rows = [row for rows in table(op).values() for row in rows if row.shape.items() <= shape.items()]
    here = [row for row in rows if row.arch == arch]
    return bool(here) and all(row.verified is not None for row in here)
