"""Mutations of files: bits, runs of bytes, cuts, copies and splices, and changes that know JSON or TOML.

Torture room. bytes, another file's bytes, a generator -> bytes. The same generator gives the same mutant, so that a
case is found again by its number. Which files, and what must hold of them, is in `fuzz_formats.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any, Final

_DEEP: Final = 20_000
# Words that parsers stumble over: ends of strings, marks, numbers beyond every type, escapes, brackets without end.
TOKENS: Final[tuple[bytes, ...]] = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x1b[2J", b"\x9b31m", b"\r", b"\n",
    "\u202e\u2028".encode(), b'"', b"'", b'"""', b"'''", b"\\", b"\\u0000", b"\\ud800", b"\\U0010ffff", b"#", b"=",
    b"{", b"}", b"[", b"]", b",", b":", b"[" * _DEEP, b'{"a":' * _DEEP, b"[[" * 500 + b"]]" * 500, b"9" * 5000,
    b"-1", b"1e999", b"-0.0", b"NaN", b"Infinity", b"nan", b"inf", b"0x" + b"f" * 5000, b"18446744073709551617",
    b"null", b"true", b"1979-05-27T00:32:00-07:00", b"x" * 100_000, b"[[a]]\n", b"a.b.c = 1\n", b'"seal": 0',
    b'"crc":0',
)  # fmt: skip
_LITERALS: Final[tuple[str, ...]] = (
    "nan", "inf", "-inf", "0", "-1", "1e999", "1e-400", "9" * 5000, "0x" + "f" * 5000, "9223372036854775808", "true",
    '""', '"none"', '"\\u0000"', '"\\u001b[2J\\n"', '"' + "x" * 50_000 + '"', "[]", "[[]]", "[1, 2, 3]", '["a", 1]',
    "{}", "{a = 1}", "1979-05-27", "07:32:00", "[" * 300 + "]" * 300, "[" * _DEEP, "'\u202e'", "0.5", "7", '"6h"',
    '"20min"', '"999999999999999999h"', "[" + "7, " * 5000 + "]",
    "1", "2", "32", "false", "0.25", "1e-3", '"1h"', '"auto"', "[7]", "[10, 14]",
)  # fmt: skip
_LINE: Final = re.compile(rb"^([A-Za-z0-9_.\"-]+)( *= *)(.*)$", re.MULTILINE)


def _values() -> list[Any]:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    return [
        None, True, False, 0, 1, -1, 9, 10, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"),
        "", "none", "x" * 50_000, "\x00", "\x1b]0;x\x07\n", "\u202e", "\ud800", "../../x", [], {}, [[]], {"a": 1}, deep,
        [0] * 5000, {str(number): number for number in range(2000)}, [[0, 1], [2, "3"]],
    ]  # fmt: skip


def mutate(data: bytes, other: bytes, kind: str, random: Random) -> bytes:
    """A mutant after one to three changes. kind: "json", "toml" or anything else for bytes alone."""
    for _ in range(random.choice((1, 1, 2, 3))):
        aware = {"json": change_json, "toml": change_toml}.get(kind)
        if aware is not None and random.random() < 0.45:
            data = aware(data, random)
        else:
            data = random.choice(_CHANGES)(data, other, random)
    return data


def _place(data: bytes, random: Random) -> tuple[int, int]:
    """Begin and end of a piece."""
    begin = random.randrange(len(data) + 1)
    return begin, min(len(data), begin + random.choice((1, 2, 4, 8, 32, 200, 2000)))


def flip_bits(data: bytes, other: bytes, random: Random) -> bytes:
    """One to eight bits, anywhere."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8)) if data else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, other: bytes, random: Random) -> bytes:
    begin, end = _place(data, random)
    run = random.randbytes(end - begin) if random.random() < 0.5 else bytes([random.randrange(256)]) * (end - begin)
    return data[:begin] + run + data[end:]


def _cut(data: bytes, other: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _remove(data: bytes, other: bytes, random: Random) -> bytes:
    begin, end = _place(data, random)
    return data[:begin] + data[end:]


def _repeat(data: bytes, other: bytes, random: Random) -> bytes:
    begin, end = _place(data, random)
    return data[:end] + data[begin:end] * random.choice((1, 2, 50)) + data[end:]


def _swap(data: bytes, other: bytes, random: Random) -> bytes:
    (one, one_end), (two, two_end) = sorted((_place(data, random), _place(data, random)))
    if one_end > two:
        return data[two:] + data[:two]
    return data[:one] + data[two:two_end] + data[one_end:two] + data[one:one_end] + data[two_end:]


def _splice(data: bytes, other: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)] + other[random.randrange(len(other) + 1) :]


def _insert(data: bytes, other: bytes, random: Random) -> bytes:
    begin = random.randrange(len(data) + 1)
    return data[:begin] + random.choice(TOKENS) + data[begin:]


_Change = Callable[[bytes, bytes, Random], bytes]
_CHANGES: Final[tuple[_Change, ...]] = (
    flip_bits, flip_bits, _overwrite, _cut, _remove, _repeat, _swap, _splice, _insert, _insert,
)  # fmt: skip


def change_value(value: Any, random: Random) -> Any:
    """A JSON value with one part of it replaced, renamed, doubled or taken away."""
    if not isinstance(value, (dict, list)) or not value or random.random() < 0.15:
        return random.choice(_values())
    changed = dict(value) if isinstance(value, dict) else list(value)
    key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
    what = random.random()
    if what < 0.7:
        changed[key] = change_value(value[key], random)
    elif what < 0.8:
        del changed[key]
    elif isinstance(changed, dict):
        changed[random.choice(("", "\ud800", "\x1b[2J", "a" * 300, "train", "../x", str(key).upper()))] = changed.pop(
            key
        )
    else:
        changed += changed[: random.choice((1, 40))]
    return changed


def change_json(data: bytes, random: Random) -> bytes:
    """One part of a JSON text (of one line of it, where it has many) changed; bytes that are none stay."""
    lines = data.split(b"\n")
    many = len(lines) > 2 and all(line[:1] in (b"{", b"") for line in lines)
    place = random.randrange(len(lines)) if many else 0
    try:
        value = json.loads(lines[place] if many else data)
        text = json.dumps(change_value(value, random), separators=(",", ":")).encode("ascii")
    except (ValueError, RecursionError):
        return data
    return b"\n".join([*lines[:place], text, *lines[place + 1 :]]) if many else text


def change_toml(data: bytes, random: Random) -> bytes:
    """One line `key = value` of a TOML text changed: its value, its key, or where it stands."""
    found = list(_LINE.finditer(data))
    if not found:
        return data
    line = random.choice(found)
    what = random.random()
    if what < 0.65:
        return data[: line.start(3)] + random.choice(_LITERALS).encode() + data[line.end() :]
    if what < 0.8:
        name = random.choice((b'"\\u001b[2J"', b'""', b"a" * 300, b"a.b.c", line[1][:-1] or b"x", line[1].upper()))
        return data[: line.start(1)] + name + data[line.end(1) :]
    other = random.choice(found)
    return data[: other.start()] + line[0] + b"\n" + data[other.start() :]
