"""Room `runs`: opening files that somebody else may be writing, or may have tampered with.

path -> bytes, JSON object or None; never an exception for what lies in the file. Only regular files are opened (a FIFO
would block for ever), links in the last place are not followed, and sizes are bounded. An object that steers a run is
written with a seal, the crc32 of what stands before it, so that a flipped bit is noticed. Values taken from such
objects go through `number`, `integer`, `string`, `mapping` and `items`, which give None or empty for a wrong type.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import zlib
from pathlib import Path
from typing import Any, Final

Row = dict[str, Any]

MAX_OBJECT_BYTES: Final = 16 * 2**20
MAX_DEPTH: Final = 64
_LARGE: Final = 2**64
# Only numbers that may be too large (for a float, or for 64 bits) need the slow parser. Every digit is taken for a 0 to
# find them: 26 us for a validation of 5 KB, against 185 for a regular expression.
_FLAT: Final = bytes.maketrans(b"123456789E", b"000000000e")
_SUSPECT: Final = (b"0" * 19, b"e000", b"e+000")
_SEAL: Final = b'"seal":'


def open_regular(path: Path) -> int | None:
    """A read-only descriptor of a regular file, or None if there is none (or it cannot be read)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        regular = False
    if not regular:
        os.close(descriptor)
        return None
    return descriptor


def read_at(descriptor: int, offset: int, count: int) -> bytes:
    """Up to `count` bytes from `offset`; fewer at the end of the file or on a read error."""
    parts: list[bytes] = []
    while count > 0:
        try:
            part = os.pread(descriptor, min(count, 2**20), offset)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
        offset += len(part)
        count -= len(part)
    return b"".join(parts)


def read_small(path: Path, limit: int = MAX_OBJECT_BYTES) -> bytes | None:
    """The whole file, or None if it is missing, unreadable, no regular file or longer than `limit` bytes."""
    descriptor = open_regular(path)
    if descriptor is None:
        return None
    try:
        data = read_at(descriptor, 0, limit + 1)
    finally:
        os.close(descriptor)
    return data if len(data) <= limit else None


def last_bytes(path: Path, count: int) -> bytes:
    """The last `count` bytes of a file, all of a shorter one; none where it cannot be read."""
    descriptor = open_regular(path)
    if descriptor is None:
        return b""
    try:
        return read_at(descriptor, max(os.fstat(descriptor).st_size - count, 0), count)
    finally:
        os.close(descriptor)


def read_named(path: Path, limit: int) -> bytes:
    """The whole of a file that a person, or a file of theirs, named: links are followed. OSError where it is not there,
    is no regular file (a pipe would wait for ever, a device never end) or is longer than `limit` bytes."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:  # a NUL in the name
        raise OSError(errno.ENOENT, "there is no such file", os.fspath(path)) from None
    with open(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
        if state.st_size > limit:
            raise OSError(errno.EFBIG, f"it is more than {limit >> 20} MiB", os.fspath(path))
        # Not `limit`: Python asks for that many bytes at once, 2 GiB for a data file of 2 MiB.
        return file.read(min(limit, state.st_size + 2**16))


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _bounded(text: str) -> int | None:
    return int(text) if len(text) <= 21 and abs(int(text)) <= _LARGE else None


def _is_deep(value: Any) -> bool:
    """Whether lists and objects lie in one another more than `MAX_DEPTH` times."""
    level = [value]
    for _ in range(MAX_DEPTH):
        boxes = (box.values() if isinstance(box, dict) else box for box in level)
        level = [item for box in boxes for item in box if isinstance(item, (dict, list))]
        if not level:
            return False
    return True


def parse_object(data: bytes) -> Row | None:
    """The JSON object in `data`, or None. Numbers that are not finite, or whole numbers beyond 2**64, become null.

    Nor is one nested deeper than `MAX_DEPTH` taken: it can be read, and fails where it is compared or written again.
    """
    try:
        text = data.decode("utf-8")
        flat = data.translate(_FLAT)
        if any(digits in flat for digits in _SUSPECT):
            value = json.loads(text, parse_float=_finite, parse_int=_bounded, parse_constant=lambda _: None)
        else:
            value = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or (data.count(b"{") + data.count(b"[") > MAX_DEPTH and _is_deep(value)):
        return None
    return value


def sealed(text: bytes) -> bytes:
    """A JSON object that is not empty, with `seal` as its last key: the crc32 of all bytes before the comma."""
    body = text.rstrip()[:-1].rstrip()
    return body + b",\n  " + _SEAL + b" " + str(zlib.crc32(body)).encode("ascii") + b"\n}\n"


def parse_sealed(data: bytes) -> Row | None:
    """The JSON object without its seal; None where there is none to be had, or the seal is not that of the bytes.

    One without a seal is taken as it is: written before there were seals, or by a person.
    """
    row = parse_object(data)
    if row is None or "seal" not in row:
        return row
    before, _, after = data.rpartition(_SEAL)
    body = before.rstrip()
    digits = after.strip().removesuffix(b"}").strip()
    if not body.endswith(b",") or digits != str(zlib.crc32(body[:-1])).encode("ascii"):
        return None
    del row["seal"]
    return row


def read_json_object(path: Path, limit: int = MAX_OBJECT_BYTES) -> Row | None:
    """The JSON object in a file, or None if there is none to be had or its seal is broken."""
    data = read_small(path, limit)
    return None if data is None else parse_sealed(data)


def modified_s(path: Path) -> float | None:
    """Time of last change in seconds since the epoch, or None."""
    try:
        return os.stat(path, follow_symlinks=False).st_mtime
    except (OSError, ValueError):
        return None


def number(row: object, key: str) -> float | None:
    """`row[key]` as a finite float, else None (a boolean is no number)."""
    value = row.get(key) if isinstance(row, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if -1e300 < value < 1e300 else None


def integer(row: object, key: str) -> int | None:
    """`row[key]` as a whole number, else None."""
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGE else None


def string(row: object, key: str, limit: int = 10_000) -> str | None:
    """`row[key]` if it is text (cut to `limit` characters), else None. Not cleaned for a terminal."""
    value = row.get(key) if isinstance(row, dict) else None
    return value[:limit] if isinstance(value, str) else None


def mapping(row: object, key: str) -> Row:
    """`row[key]` if it is an object, else an empty one."""
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, dict) else {}


def items(row: object, key: str) -> list[Any]:
    """`row[key]` if it is a list, else an empty one."""
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, list) else []
