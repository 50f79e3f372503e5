"""Text that means harm to a terminal, and what of it must never arrive: for tests of the console and of `hrm`."""

from __future__ import annotations

import json
from pathlib import Path

from hrm_core.runs.text import clean

PAYLOADS = (
    "\x1b]52;c;cHduZWQ=\x07",  # clipboard
    "\x1b]0;pwned\x07",  # title
    "\x1b[2J",  # clear
    "\x1b[6n",  # report the cursor
    "\x1bc",  # reset
    "\x1b[31mRED",  # a colour of theirs
    "\x9b31mRED",  # C1 CSI
    "\x9d0;pwned\x9c",  # C1 OSC
    "\u202egnp.exe",  # right to left
    "a\rb\x08\x08\x05",
    "\x7f\x00",
)
# Textual's own markup, which must be shown as it is.
MARKUP = ("[bold red]markup[/]", "[@click=app.quit]x[/]")
ALL = " ".join((*PAYLOADS, *MARKUP))


def dangerous(text: str) -> list[str]:
    """Control characters other than a line end, and direction marks."""
    return [character for character in text.replace("\n", "") if clean(character) != character]


def write_hostile_queue(runs: Path, text: str) -> Path:
    """The folder of a queue with one held entry, of which every text is this one."""
    folder = runs / "queue"
    folder.mkdir()
    entry = {"id": "1", "experiment": text, "overrides": [text], "name": text, "state": "held", "reason": text}
    content = {"format": 1, "stopped": text, "next_id": 2, "entries": [{**entry, "after": text}]}
    (folder / "queue.json").write_text(json.dumps(content))
    return folder
