"""Rows of a metrics file as columns of numbers, as fast as plain Python can. No Textual, no rich here.

whole lines of metrics.jsonl -> `Block`s: one array of doubles per numeric key (nan where a row has none), the other x
axes (time, samples, joules) and the last row as it was written. Steps rise inside a block; a block that begins below
where the one before ended takes the curves back. Lines that are torn, damaged or have a wrong crc are left out.

Most rows of a run are written alike, so a stretch of lines is cut at its commas once, and each key's values are read
as one JSON list. Every line's crc is checked, and every value's key; where lines are not of one make their rows are
read as one JSON list, which takes twice as long, and where anything is odd one by one, which takes four times as long.
To make a float of 17 digits takes Python 0.4 µs, more than all else that is done for it; `read_quickly` has pydantic's
parser make them, in an eighth of that and alike to the last bit, where its import is worth its 25 ms.
"""

from __future__ import annotations

import json
import math
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from operator import le
from typing import Any, final

from hrm_core.runs.records import decode_row

Row = dict[str, Any]
Columns = dict[str, "array[float]"]
STEP, TIME, SAMPLES, JOULES = "step", "time", "samples", "joules"
LEFT_OUT = frozenset({"crc"})
NUMBERS, PLAIN = frozenset({int, float}), frozenset({int, float, type(None)})
NAN = math.nan
_CRC = b',"crc":'
ALIKE_LINES = 16  # fewer lines than these are read one by one
# JSON -> its value. Only lists of one key's values go through it, of lines whose make and crc are looked at here.
_list_of: Callable[[bytes], Any] = json.loads


def read_quickly() -> None:
    """For a process that reads much. What the other parser does not take is read row by row, as ever."""
    global _list_of
    from pydantic_core import from_json

    _list_of = partial(from_json, allow_inf_nan=False)


@final
@dataclass
class Block:
    """Some rows. Columns and axes are equally long; "step" is among the columns, and rises. last: the newest row; gaps:
    the columns that hold a nan, None where nobody has looked."""

    columns: Columns
    axes: Columns = field(default_factory=dict)
    last: Row = field(default_factory=dict)
    gaps: frozenset[str] | None = None

    def __len__(self) -> int:
        return len(self.columns[STEP])

    def part(self, start: int, stop: int) -> Block:
        """Some of the rows; `last` stays what it is."""
        columns = {name: column[start:stop] for name, column in self.columns.items()}
        return Block(columns, {name: column[start:stop] for name, column in self.axes.items()}, self.last)


def extend_padded(known: Columns, new: Columns, length: int, count: int) -> None:
    """Add `count` rows to columns of `length` rows; nan where one of the two has no such column."""
    for name, column in new.items():
        if name not in known:
            known[name] = array("d", [NAN]) * length
        known[name].extend(column)
    for name, column in known.items():
        if name not in new:
            column.extend(array("d", [NAN]) * count)


def number_of(value: object) -> float:
    """A finite number, or nan for everything else; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return NAN
    try:
        found = float(value)
    except OverflowError:
        return NAN
    return found if math.isfinite(found) else NAN


def block_of_rows(rows: Sequence[Row]) -> Block | None:
    """Rows as the reader gives them, with their axes still missing; those without a step are left out."""
    placed = [row for row in rows if not math.isnan(number_of(row.get(STEP)))]
    if not placed:
        return None
    columns: Columns = {}
    for name in dict.fromkeys(name for row in placed for name in row):
        values = [row.get(name) for row in placed]
        kinds = set(map(type, values))
        if name not in LEFT_OUT and kinds & NUMBERS:
            columns[name] = _doubles(values if kinds <= PLAIN else list(map(number_of, values)))
    return Block(columns, last=placed[-1])


def block_of_lines(lines: Sequence[bytes]) -> Block | None:
    """Whole lines as they were written; None where no row is among them."""
    block = _alike(lines) if len(lines) >= ALIKE_LINES else None
    return block or block_of_rows(_rows(lines))


def _rows(lines: Sequence[bytes]) -> list[Row]:
    """The rows of lines, all at once where nothing about them is odd."""
    try:
        rows = json.loads(b"[" + b",".join(lines) + b"]")
        if rows and [row.pop("crc") for row in rows] == _sums(lines):
            # The newest row goes to the screens as it is: with numbers that are too large taken out.
            return [*rows[:-1], decode_row(lines[-1]) or {}]
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        pass
    return [row for line in lines if (row := decode_row(line)) is not None]


def _sums(lines: Sequence[bytes]) -> list[int]:
    return [zlib.crc32(b"}", zlib.crc32(line[: line.rfind(_CRC)])) for line in lines]


def _alike(lines: Sequence[bytes]) -> Block | None:
    """Lines of one make; None where they are not, or where anything about them is odd."""
    last = decode_row(lines[-1])
    template = None if last is None else _template(last, lines[-1])
    if last is None or template is None:
        return None
    tokens = b",".join(lines).split(b",")
    width, places = template
    if len(tokens) != width * len(lines):
        return None
    columns: Columns = {}
    try:
        for name, place in places.items():
            plain = name == "crc" or type(last[name]) in PLAIN
            values = _values(name, tokens[place::width], place == 0, place == width - 1, plain)
            if name == "crc":
                if values != _sums(lines):
                    return None
            elif values is not None:
                columns[name] = _doubles(values)
    except (ValueError, RecursionError):
        return None
    steps = columns.get(STEP)
    return None if steps is None or math.isnan(sum(steps)) else Block(columns, last=last)


def _template(row: Row, line: bytes) -> tuple[int, dict[str, int]] | None:
    """How many pieces a line like this one falls into at its commas, and which piece is whose of the keys."""
    body = {**row, "crc": 0}
    written = json.dumps(body, separators=(",", ":")).encode("ascii")
    if written[: written.rfind(_CRC)] != line[: line.rfind(_CRC)]:
        return None
    place, places = 0, {}
    for name, value in body.items():
        places[name] = place
        place += json.dumps([name, value], separators=(",", ":")).count(",")
    return place, places


def _values(name: str, tokens: list[bytes], first: bool, last: bool, plain: bool) -> list[Any] | None:
    """The values of one key in all lines; None for a key without numbers. ValueError for lines of another make."""
    head = b"," + (b"{" if first else b"") + json.dumps(name).encode("ascii") + b":"
    if not last and tokens[0] == tokens[-1] and tokens.count(tokens[0]) == len(tokens):
        alike, count = tokens[:1], len(tokens)
    else:
        alike, count = tokens, 1
    joined = b"," + b",".join(alike)
    if joined.count(head) != len(alike):  # with its comma it stands at the start of a token, so at that of every one
        raise ValueError(name)
    if not plain:
        return None
    joined = joined.replace(head, b",")
    if b"t" in joined or b"f" in joined:  # true or false: no numbers, though Python takes them for some
        raise ValueError(name)
    if last:
        joined = joined.replace(b"}", b"")
    values: list[Any] = _list_of(b"[" + joined[1:] + b"]")
    if len(values) != len(alike):
        raise ValueError(name)
    if values == [None]:
        return None
    return values * count


def _doubles(values: list[Any]) -> array[float]:
    try:
        column = array("d", values)
        if math.isfinite(sum(values)):
            return column
    except (TypeError, OverflowError):
        pass
    return array("d", map(number_of, values))


def blocks_of_lines(lines: Sequence[bytes], count: int) -> Iterator[Block]:
    """Blocks of up to `count` lines each, cut where a step falls; without their axes."""
    for start in range(0, len(lines), count):
        block = block_of_lines(lines[start : start + count])
        if block is not None:
            yield from rising_parts(block)


def rising_parts(block: Block) -> Iterator[Block]:
    """The block, cut where a step is below the one before."""
    steps = block.columns[STEP]
    if all(map(le, steps, islice(steps, 1, None))):
        yield block
        return
    falls = [at for at in range(1, len(steps)) if steps[at] < steps[at - 1]]
    for start, stop in zip([0, *falls], [*falls, len(steps)], strict=True):
        yield block.part(start, stop)


@final
class Table:
    """All rows of a file, in blocks of at most `most` rows; a block that begins earlier cuts what was above it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.blocks: list[Block] = []

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def add(self, block: Block) -> None:
        """Add a block whose steps rise. It is not kept: its columns are copied."""
        first = block.columns[STEP][0]
        while self.blocks and self.blocks[-1].columns[STEP][0] > first:
            self.blocks.pop()
        if self.blocks and self.blocks[-1].columns[STEP][-1] > first:
            held = self.blocks[-1]
            self.blocks[-1] = held.part(0, bisect_right(held.columns[STEP], first))
        if not self.blocks or len(self.blocks[-1]) + len(block) > self.most:
            self.blocks.append(block.part(0, len(block)))
            return
        held = self.blocks[-1]
        length, count = len(held), len(block)
        extend_padded(held.columns, block.columns, length, count)
        extend_padded(held.axes, block.axes, length, count)
        held.last = block.last
