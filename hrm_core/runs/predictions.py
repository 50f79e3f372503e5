"""Room `runs`: what a model answered at a validation, kept so that puzzles can be drawn without the model.

records (one dict a test input) -> `predictions/<step>.jsonl.gz` + `<step>.index.json` (test id -> place), and
`tasks.jsonl.gz` once. Every record is a gzip member of its own (the whole is still one valid .gz file), so a reader
takes one record with one seek. Bytes are the same for the same records: no time in the headers. Reading never raises
for what lies in the files, and never unpacks more than a bound. What the records hold is evaluation's affair.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hrm_core.runs.atomic import write_bytes
from hrm_core.runs.files import (
    Row,
    integer,
    items,
    mapping,
    open_regular,
    parse_object,
    read_at,
    read_json_object,
    sealed,
)
from hrm_core.runs.formats import is_newer
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.records import plain

FORMAT: Final = 1
KEEP_STEPS: Final = 3
TASKS_NAME: Final = "tasks.jsonl.gz"
_MAX_RECORD_BYTES: Final = 16 * 2**20
_MAX_FILE_BYTES: Final = 2**30
_STEP_NAME: Final = re.compile(r"([0-9]{1,12})\.jsonl\.gz", re.ASCII)
_GZIP: Final = 31  # zlib's word for a window of 32 KiB with gzip header; its header holds no time


def _member(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(plain(record, "record"), separators=(",", ":"), allow_nan=False)
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    return packer.compress(text.encode("ascii") + b"\n") + packer.flush()


def _pack(records: Iterable[Mapping[str, Any]]) -> tuple[bytes, list[tuple[int, int]]]:
    """All members in one, and (offset, length) of each."""
    parts: list[bytes] = []
    places: list[tuple[int, int]] = []
    offset = 0
    for record in records:
        part = _member(record)
        places.append((offset, len(part)))
        parts.append(part)
        offset += len(part)
    return b"".join(parts), places


def record_name(record: Mapping[str, Any], line: int) -> str:
    """A record's name in the index: its `id`, else `task:test`, else its line number."""
    name = record.get("id")
    if isinstance(name, str):
        return name
    task, test = record.get("task"), record.get("test")
    return f"{task}:{test}" if task is not None and test is not None else str(line)


def steps_kept(folder: Path | RunFolder) -> list[int]:
    """Steps whose predictions are there, in order."""
    try:
        names = os.listdir(RunFolder.of(folder).predictions)
    except OSError:
        return []
    return sorted(int(match[1]) for match in map(_STEP_NAME.fullmatch, names) if match is not None)


def _paths(folder: Path | RunFolder, step: int) -> tuple[Path, Path]:
    place = RunFolder.of(folder).predictions
    return place / f"{step}.jsonl.gz", place / f"{step}.index.json"


def write_predictions(
    folder: Path | RunFolder, step: int, records: Iterable[Mapping[str, Any]], keep: Collection[int] = ()
) -> None:
    """Writes the predictions of `step`; of the others the last three and those in `keep` (archived) stay."""
    layout = RunFolder.of(folder)
    layout.predictions.mkdir(exist_ok=True)
    listed = list(records)
    data, places = _pack(listed)
    pairs = zip(listed, places, strict=True)
    names = {record_name(record, line): [line, *place] for line, (record, place) in enumerate(pairs)}
    packed, index = _paths(layout, step)
    write_bytes(packed, data)
    # The index says for which bytes it is right: a crash between the two writes leaves it unused, not wrong.
    head = {"format": FORMAT, "step": step, "records": len(listed), "bytes": len(data), "crc": zlib.crc32(data)}
    write_bytes(index, sealed(json.dumps({**head, "tests": names}, separators=(",", ":")).encode("ascii")))
    remove_predictions(layout, set(steps_kept(layout)[:-KEEP_STEPS]) - {step} - set(keep))


def write_tasks(folder: Path | RunFolder, records: Iterable[Mapping[str, Any]]) -> None:
    """Writes `tasks.jsonl.gz`: for each task its demonstrations, objects, descriptors and families."""
    layout = RunFolder.of(folder)
    layout.predictions.mkdir(exist_ok=True)
    write_bytes(layout.predictions / TASKS_NAME, _pack(records)[0])


def remove_predictions(folder: Path | RunFolder, steps: Iterable[int]) -> None:
    """Deletes the predictions of these steps, the index first."""
    for step in steps:
        for path in reversed(_paths(folder, step)):
            with suppress(OSError):
                path.unlink()


def _records(path: Path) -> Iterator[Row]:
    descriptor = open_regular(path)
    if descriptor is None:
        return
    try:
        offset = 0
        while offset < _MAX_FILE_BYTES:
            head = read_at(descriptor, offset, 64 * 1024)
            unpacker = zlib.decompressobj(_GZIP)
            text = unpacker.decompress(head, _MAX_RECORD_BYTES) if head else b""
            used = len(head)
            while not unpacker.eof and len(text) < _MAX_RECORD_BYTES:
                more = unpacker.unconsumed_tail or read_at(descriptor, offset + used, 2**20)
                if not more:
                    return
                used += 0 if unpacker.unconsumed_tail else len(more)
                text += unpacker.decompress(more, _MAX_RECORD_BYTES - len(text))
            if not unpacker.eof:
                return
            offset += used - len(unpacker.unused_data)
            for line in text.splitlines():
                row = parse_object(line)
                if row is not None:
                    yield row
    except (zlib.error, OSError):
        return
    finally:
        os.close(descriptor)


def read_predictions(folder: Path | RunFolder, step: int) -> Iterator[Row]:
    """The records of a step in order, up to the first damaged one."""
    return _records(_paths(folder, step)[0])


def whole(folder: Path | RunFolder, step: int) -> bool:
    """Whether the records of a step are, byte for byte, those that its index was written for."""
    packed, index_path = _paths(folder, step)
    index = _index(index_path)
    descriptor = None if index is None else open_regular(packed)
    if descriptor is None:
        return False
    size, crc = 0, 0
    with open(descriptor, "rb", buffering=0):
        while part := read_at(descriptor, size, 2**20):
            size, crc = size + len(part), zlib.crc32(part, crc)
    return (size, crc) == (integer(index, "bytes"), integer(index, "crc"))


def read_tasks(folder: Path | RunFolder) -> Iterator[Row]:
    """The records of `tasks.jsonl.gz` in order, up to the first damaged one."""
    return _records(RunFolder.of(folder).predictions / TASKS_NAME)


def _index(path: Path) -> Row | None:
    """The index, None where there is none or a newer version made it: the records are then read in order."""
    row = read_json_object(path)
    return None if is_newer(row, FORMAT) else row


def prediction_names(folder: Path | RunFolder, step: int) -> list[str]:
    """Names of the records of a step, in order; read from the index, so that nothing is unpacked."""
    tests = mapping(_index(_paths(folder, step)[1]), "tests")
    places = {name: items(tests, name)[:1] for name in tests}
    lines = {name: place[0] for name, place in places.items() if place and isinstance(place[0], int)}
    return sorted(lines, key=lambda name: lines[name])


def read_prediction(folder: Path | RunFolder, step: int, name: str) -> Row | None:
    """One record of a step by its name, with one seek; None if it is not there (or damaged)."""
    packed, index_path = _paths(folder, step)
    index = _index(index_path)
    descriptor = open_regular(packed)
    if descriptor is None:
        return None
    try:
        place = items(mapping(index, "tests"), name)
        if os.fstat(descriptor).st_size == integer(index, "bytes") and len(place) == 3:
            _, offset, length = place
            if all(isinstance(value, int) and 0 <= value < _MAX_FILE_BYTES for value in (offset, length)):
                member = read_at(descriptor, offset, min(length, _MAX_RECORD_BYTES))
                row = parse_object(zlib.decompressobj(_GZIP).decompress(member, _MAX_RECORD_BYTES))
                # An index of other bytes of the same length would point to another test's record.
                if row is not None and record_name(row, place[0]) == name:
                    return row
    except (zlib.error, OSError):
        pass
    finally:
        os.close(descriptor)
    found = (row for line, row in enumerate(read_predictions(folder, step)) if record_name(row, line) == name)
    return next(found, None)
