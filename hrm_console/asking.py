"""Asking the `hrm` command: what the console shows beyond recipes and run folders comes as JSON from a child process.

words after `hrm` -> `Answer`. Called in a thread; the child has no terminal and its words are cleaned. Nothing is asked
that changes a run: that is launching.py's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from hrm_console.children import run_child
from hrm_core.runs.launch import HRM_COMMAND

MOST_BYTES = 64 * 2**20


@final
@dataclass(frozen=True)
class Answer:
    """What came back: the JSON in `data`, or in `text` why there is none."""

    ok: bool
    data: Any
    text: str


def ask(words: Sequence[str], patience_s: float = 120.0) -> Answer:
    """Run `hrm WORDS... --json` to its end."""
    ended = run_child([*HRM_COMMAND, *words, "--json"], patience_s, MOST_BYTES)
    if ended.status is None:
        return Answer(False, None, ended.trouble)
    text = " ".join(ended.complaints[-3:]).removeprefix("error: ")
    if ended.status:
        return Answer(False, None, text or f"the command ended with exit code {ended.status}")
    try:
        return Answer(True, json.loads(ended.out), text)
    except (ValueError, RecursionError):
        return Answer(False, None, "the command's answer is no JSON")
