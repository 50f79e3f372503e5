"""Asking the `hrm` command: what the console shows beyond recipes and run folders comes as JSON from a child process.

words after `hrm` -> `Answer`. Called in a thread; the child has no terminal and its words are cleaned. Nothing is asked
that changes a run: that is launching.py's.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from hrm_console.launching import HRM
from hrm_core.runs.text import clean

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
    argv = [*HRM, *words, "--json"]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        try:
            status = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complained,
                start_new_session=True,
                timeout=patience_s,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return Answer(False, None, f"no answer after {patience_s:.0f} s")
        except OSError as error:
            return Answer(False, None, clean(f"cannot start the hrm command: {error.strerror}"))
        said.seek(0)
        complained.seek(0)
        out, trouble = said.read(MOST_BYTES), complained.read(20_000).decode("utf-8", "replace")
    lines = [clean(line) for line in trouble.splitlines() if line.strip()]
    text = " ".join(lines[-3:]).removeprefix("error: ")
    if status:
        return Answer(False, None, text or f"the command ended with exit code {status}")
    try:
        return Answer(True, json.loads(out), text)
    except ValueError:
        return Answer(False, None, "the command's answer is no JSON")
