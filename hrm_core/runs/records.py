"""Room `runs`: how one row is written as a line, and how a line is read back.

dict <-> one line of ASCII JSON whose last key is `crc`: the crc32 of the line as it would be without that key. So a
row torn by kill -9, cut by a full disk or changed by a failing one is noticed and skipped. Also the columns which a
repeated run need not reproduce. Files are not here.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import PurePath
from typing import Any, Final

from hrm_core.runs.files import Row, parse_object

# "The same run" means equal in all other columns. `crc` depends on the clock columns, so it is one of them.
CLOCK_COLUMNS: Final = frozenset(
    {
        "time_utc",
        "elapsed_s",
        "samples_per_sec",
        "puzzles_per_sec",
        "tokens_per_sec",
        "memory_gib",
        "power_w",
        "temperature_c",
        "clock_mhz",
        "crc",
    }
)
MAX_ROW_BYTES: Final = 4 * 2**20
_KEY: Final = b'"crc":'


def utc_now() -> str:
    """This moment, as `2026-11-24T01:30:00.123Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any, where: str = "value") -> Any:
    """`value` in JSON's own types; NaN and infinities become None. TypeError names the key of anything else."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [plain(item, where) for item in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [plain(item, where) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{where} is a {type(value).__name__}, which a row cannot hold")


def encode_row(row: Mapping[str, Any]) -> bytes:
    """One line with its newline. A key `crc` in `row` is replaced. TypeError for values that JSON has no word for."""
    body = plain({key: value for key, value in row.items() if key != "crc"}, "row")
    text = json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
    comma = b"," if body else b""
    return text[:-1] + comma + _KEY + str(zlib.crc32(text)).encode("ascii") + b"}\n"


def decode_row(line: bytes) -> Row | None:
    """The row without its crc, or None for a line that is torn, changed, too long or no row. Never raises."""
    line = line.rstrip(b"\r\n ")
    if len(line) > MAX_ROW_BYTES or not line.endswith(b"}"):
        return None
    place = line.rfind(_KEY)
    digits = line[place + len(_KEY) : -1]
    if place < 1 or not digits.isdigit() or len(digits) > 10:
        return None
    before = line[place - 1 : place]
    if before not in (b",", b"{"):
        return None
    body = (line[: place - 1] if before == b"," else line[:place]) + b"}"
    return parse_object(body) if zlib.crc32(body) == int(digits) else None


def encode_status(status: Mapping[str, Any]) -> bytes:
    """The content of `status.json`: one row."""
    return encode_row(status)


def decode_status(data: bytes) -> Row | None:
    """The status without its crc, or None if the content is not what was written."""
    return decode_row(data)


def without_clocks(row: Mapping[str, Any]) -> Row:
    """The columns which a repeated deterministic run must reproduce."""
    return {key: value for key, value in row.items() if key not in CLOCK_COLUMNS}
