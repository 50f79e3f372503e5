"""The README's table of keys, made from the table of actions: one row a screen. `python -m hrm_console.key_table FILE`.

The block between `<!-- keys -->` and `<!-- /keys -->` of the file is replaced; a test holds the README to it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from hrm_console.actions import ACTIONS, EVERYWHERE, SCREENS
from hrm_console.rooms import DIALOGS

BLOCK = re.compile(r"(<!-- keys -->\n).*?(<!-- /keys -->)", re.DOTALL)


def key_table() -> str:
    """The table in Markdown."""
    rows = ["| screen | keys |", "|---|---|"]
    for name, title in SCREENS.items():
        actions = [action for action in ACTIONS if name in action.screens and (name not in DIALOGS)]
        words = ", ".join(f"{_code(action.shown)} {action.word}" for action in actions)
        if words:
            rows.append(f"| {'everywhere' if name == EVERYWHERE else title} | {words} |")
    return "\n".join(rows) + "\n"


def with_table(text: str) -> str:
    """A text with its block replaced. ValueError if it has none."""
    if BLOCK.search(text) is None:
        raise ValueError("no block <!-- keys --> ... <!-- /keys -->")
    return BLOCK.sub(lambda match: match[1] + key_table() + match[2], text)


def _code(key: str) -> str:
    key = key.replace("|", "\\|")
    return f"`` {key} ``" if "`" in key else f"`{key}`"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
