"""What the runs list knew of ended runs, kept between starts under the cache folder. No Textual here.

`RunLine`s of ended runs with the signatures of their folders <-> `<cache>/lists/<name of the runs folder>.jsonl`, a row
with a crc for each. A run whose folder looks as it did then is not read again. A line that is damaged, of another
format, or of a run that changed counts as none. Replaced whole, so two consoles may write at once.
"""

from __future__ import annotations

import os
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from hrm_console.rows.listing import Alarm, RunLine
from hrm_core.errors import UserError
from hrm_core.runs.files import read_small
from hrm_core.runs.records import decode_row, encode_row
from hrm_core.runs.user_settings import cache_dir

FORMAT = 1
MOST_BYTES = 64 * 2**20
MOST_LISTS = 32
Signature = tuple[tuple[int, int], ...]
Known = dict[Path, tuple[Signature, RunLine]]
_PLAIN = tuple(field.name for field in fields(RunLine) if field.name not in ("run_id", "folder", "alarms"))


def list_path(runs_dir: Path) -> Path:
    """The file for a runs folder. UserError where there is no home folder."""
    place = os.path.abspath(runs_dir)
    return cache_dir() / "lists" / f"{zlib.crc32(os.fsencode(place)):08x}-{len(place)}.jsonl"


def _row(runs_dir: Path, signature: Signature, line: RunLine) -> dict[str, Any]:
    alarms = [[alarm.name, alarm.sentence, alarm.advice] for alarm in line.alarms]
    values = {name: getattr(line, name) for name in _PLAIN}
    return {
        "format": FORMAT,
        "runs": os.path.abspath(runs_dir),
        "name": line.folder.name,
        "signature": [list(pair) for pair in signature],
        "alarms": alarms,
        "values": values,
    }


def _line(runs_dir: Path, row: Mapping[str, Any]) -> tuple[Path, Signature, RunLine] | None:
    if row.get("format") != FORMAT or row.get("runs") != os.path.abspath(runs_dir):
        return None
    try:
        folder = runs_dir / str(row["name"])
        signature = tuple((int(first), int(second)) for first, second in row["signature"])
        values = {name: row["values"][name] for name in _PLAIN}
        alarms = tuple(Alarm(str(name), str(sentence), str(advice)) for name, sentence, advice in row["alarms"])
    except (KeyError, TypeError, ValueError):
        return None
    return folder, signature, RunLine(run_id=folder.name, folder=folder, alarms=alarms, **values)


def read_list(runs_dir: Path) -> Known:
    """What is known of the ended runs of this folder; nothing where there is no sound file."""
    return {folder: (signature, line) for folder, signature, line in _read(runs_dir)}


def _read(runs_dir: Path) -> Iterator[tuple[Path, Signature, RunLine]]:
    try:
        data = read_small(list_path(runs_dir), MOST_BYTES) or b""
    except UserError:
        return
    for text in data.split(b"\n"):
        row = decode_row(text)
        found = None if row is None else _line(runs_dir, row)
        if found is not None:
            yield found


def write_list(runs_dir: Path, known: Mapping[Path, tuple[Signature, RunLine]]) -> bool:
    """Keep what is known of ended runs; False where the disk refuses."""
    try:
        path = list_path(runs_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [encode_row(_row(runs_dir, *entry)) for entry in known.values() if entry[1].ended]
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(b"".join(rows))
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _drop_old(path.parent)
    except (OSError, UserError, TypeError):
        return False
    return True


def _drop_old(folder: Path) -> None:
    """Only the lists written last stay, and nothing that a killed console left."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.stat(follow_symlinks=False).st_mtime, reverse=True)
    lists = [entry for entry in entries if entry.name.endswith(".jsonl")]
    stale = [
        e for e in entries if e.name.endswith(".tmp") and time.time() - e.stat(follow_symlinks=False).st_mtime > 3600
    ]
    for entry in (*lists[MOST_LISTS:], *stale):
        with suppress(OSError):
            os.unlink(entry.path)
