"""Searching a run's whole log: the file read once in a thread, its lines and those that hold the words.

path, words -> `Found`; a window of lines around a hit -> rows of Text. What is written while nobody searches comes
through feed.py, which keeps the last thousand lines only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import final

from rich.text import Text

from hrm_console.theme import Palette
from hrm_console.views.run.describe import log_style
from hrm_console.words import fold
from hrm_core.runs.files import open_regular, read_at
from hrm_core.runs.text import clean

MOST_BYTES = 64 * 2**20
AROUND = 200


@final
@dataclass(frozen=True)
class Found:
    """words as typed; the file's lines, the numbers (from 0) of those that hold the words, and whether the file was too
    long to be read from its beginning."""

    words: str
    lines: tuple[str, ...]
    hits: tuple[int, ...]
    cut: bool = False


def search(paths: tuple[Path, ...], words: str) -> Found:
    """Search the first of these files that holds anything; upper and lower case count as one."""
    for path in paths:
        descriptor = open_regular(path)
        if descriptor is None:
            continue
        try:
            size = os.fstat(descriptor).st_size
            data = read_at(descriptor, max(0, size - MOST_BYTES), MOST_BYTES)
        finally:
            os.close(descriptor)
        if data.strip():
            lines = tuple(data.decode("utf-8", "replace").split("\n"))
            lines = lines[:-1] if not lines[-1] else lines
            return Found(words, lines, hits_of(lines, words), size > MOST_BYTES)
    return Found(words, (), ())


def hits_of(lines: tuple[str, ...], words: str) -> tuple[int, ...]:
    """The numbers of the lines that hold the words."""
    wanted = words.casefold()
    return tuple(number for number, line in enumerate(lines) if wanted in line.casefold()) if wanted else ()


def window_rows(found: Found, hit: int, palette: Palette, width: int) -> tuple[list[Text], int]:
    """The lines around a hit as rows, the words marked wherever they stand; and the row at which the hit begins."""
    at = found.hits[hit]
    first, last = max(0, at - AROUND), min(len(found.lines), at + AROUND + 1)
    rows: list[Text] = []
    begin = 0
    for number in range(first, last):
        line = clean(found.lines[number].rstrip("\r").expandtabs(4))
        if number == at:
            begin = len(rows)
        lead = "▶" if number == at else " "
        for place, part in enumerate(fold(line, width - 1)):
            row = Text((lead if place == 0 else " ") + part[1:], log_style(line, palette), no_wrap=True, end="")
            mark_words(row, found.words, f"reverse {palette.accent}" if number == at else f"bold {palette.accent}")
            rows.append(row)
    return rows, begin


def mark_words(row: Text, words: str, style: str) -> None:
    """Colour every place where the words stand in a row."""
    plain, wanted = row.plain.lower(), words.lower()
    at = plain.find(wanted) if wanted else -1
    while at >= 0 and len(plain) == len(row.plain):
        row.stylize(style, at, at + len(wanted))
        at = plain.find(wanted, at + len(wanted))
