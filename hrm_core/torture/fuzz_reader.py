"""What a format is to the fuzzing: seeds, how a mutant is read, and what must not come of it.

Torture room. The formats themselves are in `fuzz_texts.py`, `fuzz_runs.py` and `fuzz_data.py`, their table in
`fuzz_formats.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import final

from hrm_core.runs.text import clean

MAX_LINES = 2
MAX_LINE = 1000  # characters


@final
class Wrong(Exception):
    """A reader took for good what was never written; the message says what."""


@final
@dataclass(frozen=True)
class Reader:
    """seeds: (label of a file, its bytes); read: (label, mutant, forged) -> accepted, UserError or False for refused.

    forge: changes what a file says and gives it a checksum of its own; without one the format has no checksum.
    """

    seeds: Sequence[tuple[str, bytes]]
    read: Callable[[str, bytes, bool], bool]
    forge: Callable[[str, bytes, Random], bytes] | None = None


@final
@dataclass(frozen=True)
class Format:
    """what: in words; kind: of mutations; prepare: an own folder -> its reader; memory_gib: that a child may have;
    how: where it is read."""

    what: str
    kind: str
    prepare: Callable[[Path], Reader]
    memory_gib: float = 2.0
    how: str = "a process with bounded memory and time"


def tidy(message: str) -> str:
    """What is wrong with a sentence for users, or nothing: too long, too many lines, control characters."""
    lines = message.split("\n")
    if not message.strip():
        return "empty"
    if len(lines) > MAX_LINES:
        return f"{len(lines)} lines: {message[:80]!r}"
    if any(len(line) > MAX_LINE for line in lines):
        return f"{len(message)} characters: {message[:80]!r}"
    return f"controls: {message[:80]!r}" if any(clean(line) != line for line in lines) else ""


def check_problems(problems: Sequence[str]) -> None:
    """Wrong where a sentence about a file is not fit to be shown."""
    for problem in problems:
        if untidy := tidy(problem):
            raise Wrong(f"message: {untidy}")
