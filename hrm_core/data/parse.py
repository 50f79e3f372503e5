"""JSON text -> tasks, or the reason why not. Every task that enters the project passes here.

A task is an object with `train` and `test`, lists of objects with `input` and `output`, which are lists of equally
long lists of integers 0..9 with sides 1..30. Anything else raises BadTask with the first thing that is wrong. Which
files to read is decided in `sources`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import final

import numpy as np

from hrm_core.data.grids import MAX_SIDE, NUM_COLORS, Grid, Pair, Task
from hrm_core.runs.files import read_named

MAX_FILE_BYTES = 64 * 2**20
MAX_PAIRS = 1000
MAX_TASKS = 100_000  # in one file
MAX_NAME_BYTES = 200


@final
class BadTask(Exception):
    """A task, or a whole file, that cannot be used; the message is the reason."""


def read_json(path: Path) -> object:
    """The JSON value in a file. BadTask if it cannot be read, is too large, is broken or nested too deeply."""
    try:
        value = load_json(read_named(path, MAX_FILE_BYTES))
    except OSError as error:
        raise BadTask(f"cannot be read ({error.strerror or error})") from error
    for part in (value, *value.values()) if isinstance(value, dict) and len(value) <= MAX_TASKS else (value,):
        if isinstance(part, dict) and len(part) > MAX_TASKS:
            raise BadTask(f"holds {len(part)} tasks, more than {MAX_TASKS}")
    return value


def load_json(text: bytes) -> object:
    """The JSON value in UTF-8 text, or BadTask."""
    if not text.strip():
        raise BadTask("file is empty")
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadTask(f"not UTF-8 text (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise BadTask(f"broken JSON (line {error.lineno}, column {error.colno}: {error.msg})") from error
    except RecursionError as error:
        raise BadTask("nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise BadTask(f"broken JSON ({error})") from error


def parse_task(value: object, task_id: str, source: str, evaluation: bool, origin: str) -> Task:
    """A task from its JSON value, or BadTask naming the pair, the grid and the reason."""
    if not isinstance(value, dict):
        raise BadTask(f"not a JSON object but {_kind(value)}")
    try:
        size = len(task_id.encode("utf-8"))
    except UnicodeEncodeError:  # half of a pair of surrogates in JSON, or a file's name that is no UTF-8
        raise BadTask("its name is no text that can be written as UTF-8") from None
    if size > MAX_NAME_BYTES:
        raise BadTask(f"name longer than {MAX_NAME_BYTES} bytes")
    pairs = {key: _parse_pairs(value, key) for key in ("train", "test")}
    return Task(task_id, source, evaluation, pairs["train"], pairs["test"], origin)


def _parse_pairs(value: dict[str, object], key: str) -> tuple[Pair, ...]:
    if key not in value:
        raise BadTask(f'no "{key}"')
    entries = value[key]
    if not isinstance(entries, list):
        raise BadTask(f'"{key}" is not a list but {_kind(entries)}')
    if not entries:
        raise BadTask(f'"{key}" has no pairs')
    if len(entries) > MAX_PAIRS:
        raise BadTask(f'"{key}" has {len(entries)} pairs, more than {MAX_PAIRS}')
    pairs = []
    for number, entry in enumerate(entries):
        where = f"{key}[{number}]"
        if not isinstance(entry, dict):
            raise BadTask(f"{where} is not a JSON object but {_kind(entry)}")
        for side in ("input", "output"):
            if side not in entry:
                raise BadTask(f'{where} has no "{side}"')
        pairs.append(Pair(parse_grid(entry["input"], f"{where}.input"), parse_grid(entry["output"], f"{where}.output")))
    return tuple(pairs)


def parse_grid(value: object, where: str) -> Grid:
    """A (height, width) uint8 grid from nested lists; BadTask names `where` and the reason."""
    if not isinstance(value, list) or not value:
        raise BadTask(f"{where} is not a list of rows" if value != [] else f"{where} has no rows")
    if len(value) > MAX_SIDE:
        raise BadTask(f"{where} has {len(value)} rows (sides are 1 to {MAX_SIDE})")
    width: int | None = None
    for number, row in enumerate(value):
        if not isinstance(row, list):
            raise BadTask(f"{where} row {number} is not a list but {_kind(row)}")
        width = len(row) if width is None else width
        if len(row) != width:
            raise BadTask(f"{where} is ragged: row {number} has {len(row)} cells, row 0 has {width}")
        if not 1 <= len(row) <= MAX_SIDE:
            raise BadTask(f"{where} has rows of {len(row)} cells (sides are 1 to {MAX_SIDE})")
        for column, cell in enumerate(row):
            if type(cell) is not int:  # bool is a subclass of int, and true is no colour
                raise BadTask(f"{where} row {number}, column {column} is not an integer but {_kind(cell)}")
            if not 0 <= cell < NUM_COLORS:
                raise BadTask(f"{where} row {number}, column {column} is {_short(cell)} (colours are 0 to 9)")
    return np.array(value, dtype=np.uint8)


def _short(cell: int) -> str:
    return str(cell) if abs(cell) < 10**9 else "a huge number"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a fraction",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
