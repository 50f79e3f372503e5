"""How each kernel is launched: tile sizes, warps and stages by architecture and shape, and whether a GPU has proven it.

Input: `<op>/launch.json`, a list of rows per kernel; output: a `Meta`. The rows are written by hand (checked by
compiling ahead of time, `aot.py`) and rewritten by `hrm bench tune` on a GPU. There is no autotuner: it cannot run in
the interpreter, and inside a captured graph it would tune against launch costs that are not there. `verified` names
the commit and date of a green `hrm bench gpu-all` in which the operation beat its peer; without it the kernel is not
the default (`runtime.py`).
"""

from __future__ import annotations

import json
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


@cache
def table(op: str) -> dict[str, tuple[Meta, ...]]:
    """All rows of an operation by kernel name."""
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
    return row


def is_verified(op: str, arch: int, **shape: int) -> bool:
    """Whether every kernel of the operation that has rows for this shape has a verified one on exactly `arch`."""
    rows = [row for rows in table(op).values() for row in rows if row.shape.items() <= shape.items()]
    here = [row for row in rows if row.arch == arch]
    return bool(here) and all(row.verified is not None for row in here)
