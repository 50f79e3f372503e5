"""Pictures of screens as text, kept in files and compared: every character, and where asked every cell's style.

screen -> lines of text, then (styles) as many lines of letters, one letter a style, and what each letter means. A
difference fails with the first rows that differ. `HRM_UPDATE_SNAPSHOTS=1 pytest ...` writes the files anew; look at the
difference in git before committing it.
"""

from __future__ import annotations

import os
import string
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "console" / "snapshots"
UPDATE = "HRM_UPDATE_SNAPSHOTS"
LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits


def picture(app: Any, styles: bool = False) -> str:
    """The app's screen as text."""
    strips = app.screen._compositor.render_strips()
    lines = [strip.text.rstrip() for strip in strips]
    if not styles:
        return "\n".join(lines) + "\n"
    letters: dict[str, str] = {}
    painted = []
    for strip in strips:
        row = ""
        for segment in strip:
            style = describe(segment.style)
            letter = letters.setdefault(style, LETTERS[len(letters) % len(LETTERS)])
            row += letter * len(segment.text)
        painted.append(row)
    legend = [f"{letter} {style}" for style, letter in letters.items()]
    return "\n".join([*lines, "", *painted, "", *legend]) + "\n"


def describe(style: Any) -> str:
    """A style in words: colours by name or number, attributes."""
    if style is None:
        return "plain"
    words = [name for name in ("bold", "dim", "italic", "underline", "reverse") if getattr(style, name)]
    color = style.color.name if style.color is not None else "default"
    background = style.bgcolor.name if style.bgcolor is not None else "default"
    return " ".join([*words, color, "on", background])


def check_snapshot(name: str, text: str) -> None:
    """Compare with the kept picture `name`; AssertionError with the rows that differ, or where there is none yet."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get(UPDATE):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    assert path.exists(), f"there is no {path.name}; {UPDATE}=1 makes it, look at it before you keep it"
    kept, now = path.read_text(encoding="utf-8").splitlines(), text.splitlines()
    if kept == now:
        return
    pairs = [(row, a, b) for row, (a, b) in enumerate(zip(kept, now, strict=False)) if a != b]
    shown = "\n".join(f"row {row}\n  kept: {a}\n  now:  {b}" for row, a, b in pairs[:6])
    raise AssertionError(f"{name} looks different ({len(kept)} rows kept, {len(now)} now):\n{shown}")
