"""Blocks of rows as bytes: what goes through a pipe and into an index file. No Textual here.

`Block` or any JSON object <-> a frame: lengths and a crc, a JSON header, columns of doubles. Columns that hold one
value throughout are written as that value, and a column that equals an earlier one is written as its name. A frame that
is torn, damaged or written by another kind of machine is a `ValueError`.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Callable
from math import isfinite
from typing import Any

from hrm_console.rows.blocks import STEP, Block, Columns

HEAD = struct.Struct("<4sIQI")  # magic, bytes of JSON, bytes of columns, crc32 of both
MAGIC = b"hrm1" if sys.byteorder == "little" else b"1mrh"
MOST_BYTES = 1 << 30
MOST_ROWS = 1 << 24  # columns of one value throughout take no bytes in a frame, and eight a row in memory
Read = Callable[[int], bytes]


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    """One frame."""
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    return HEAD.pack(MAGIC, len(text), len(body), zlib.crc32(body, zlib.crc32(text))) + text + body


def unpack(read: Read) -> tuple[dict[str, Any], memoryview] | None:
    """The next frame; None at the end. `read(n)` gives n bytes, or fewer at the end."""
    head = read(HEAD.size)
    if not head:
        return None
    if len(head) < HEAD.size:
        raise ValueError("a torn frame")
    magic, text_bytes, body_bytes, crc = HEAD.unpack(head)
    if magic != MAGIC or text_bytes > MOST_BYTES or body_bytes > MOST_BYTES:
        raise ValueError("not a frame")
    data = read(text_bytes + body_bytes)
    if len(data) != text_bytes + body_bytes or zlib.crc32(data) != crc:
        raise ValueError("a damaged frame")
    try:
        header = json.loads(data[:text_bytes])
    except RecursionError:
        raise ValueError("a frame of any depth") from None
    if not isinstance(header, dict):
        raise ValueError("a frame without a header")
    return header, memoryview(data)[text_bytes:]


def pack_block(block: Block, share: float | None = None) -> bytes:
    """A block as a frame. share: how much of the file has been read by then, of 1."""
    body, count = bytearray(), len(block)
    header: dict[str, Any] = {"rows": count, "last": block.last, "share": share}
    written: list[tuple[str, array[float]]] = []
    for group, columns in (("columns", block.columns), ("axes", block.axes)):
        described: list[list[Any]] = []
        for name, column in columns.items():
            same = next((key for key, other in written if _equal(other, column)), None) if group == "axes" else None
            if same is not None:
                described.append([name, "same", same])
            elif column[0] == column[-1] and column.count(column[0]) == count:
                described.append([name, "constant", column[0]])
            else:
                described.append([name, "at", len(body)])
                body += column.tobytes()
                written.append((name, column))
        header[group] = described
    header["gaps"] = [name for name, column in block.columns.items() if not isfinite(sum(column))]
    return pack(header, bytes(body))


def _equal(first: array[float], second: array[float]) -> bool:
    return first[0] == second[0] and first[-1] == second[-1] and first == second


def block_of(header: dict[str, Any], body: memoryview) -> Block:
    """The block of a frame. ValueError where the frame holds none."""
    try:
        count, last = int(header["rows"]), dict(header["last"])
        if not 0 < count <= MOST_ROWS:
            raise ValueError("a block of no rows")
        columns = _columns(header["columns"], body, count, {})
        axes = _columns(header["axes"], body, count, columns)
        gaps = frozenset(map(str, header["gaps"]))
        if STEP not in columns:
            raise ValueError("a block without steps")
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError("a block that is none") from error
    return Block(columns, axes, last, gaps)


def _columns(described: Any, body: memoryview, count: int, others: Columns) -> Columns:
    found: Columns = {}
    for name, kind, value in described:
        column = array("d")
        if kind == "same":
            column = others[value][:]
        elif kind == "constant":
            column = array("d", [float(value)]) * count
        else:
            column.frombytes(body[value : value + 8 * count])
        if len(column) != count:
            raise ValueError("a short column")
        found[str(name)] = column
    return found
