"""Room `runs`: text from files, names and exceptions, made harmless before it reaches a terminal.

str -> str of the same length. Every C0 and C1 control, DEL, line separator, bidirectional control and lone surrogate
becomes a visible glyph, so a run name or a log line cannot set the clipboard, move the cursor, rename the window or
turn the line round. Terminal libraries do not do this for us: Textual and rich pass such bytes on. Escaping of console
markup is not here: print through `rich.text.Text` or with `markup=False`.
"""

from __future__ import annotations

from typing import Final

REPLACEMENT: Final = "\ufffd"

# Left-to-right and right-to-left marks, embeddings, overrides, isolates, the Arabic letter mark, and the two separators
# that some terminals take for a line end.
_INVISIBLE: Final = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)


def _table(keep: str = "") -> dict[int, str]:
    """Code point -> glyph. C0 has its own pictures in Unicode (U+2400 and on); the others share one mark."""
    table = {code: chr(0x2400 + code) for code in range(0x20)}
    table[0x7F] = "\u2421"
    for code in (*range(0x80, 0xA0), *_INVISIBLE, *range(0xD800, 0xE000)):
        table[code] = REPLACEMENT
    for kept in keep:
        del table[ord(kept)]
    return table


_ONE_LINE: Final = _table()
_LINES: Final = _table(keep="\n")


def clean(text: object) -> str:
    """One line of `str(text)` with every control character replaced by a visible glyph; safe to print and to encode.

    A newline and a tab are controls too (they break tables). The length stays, and so does all other Unicode.
    """
    string = text if isinstance(text, str) else str(text)
    return string if string.isprintable() else string.translate(_ONE_LINE)


def clean_lines(text: object) -> str:
    """Like `clean`, but newlines stay: for messages and blocks of a file."""
    string = text if isinstance(text, str) else str(text)
    return string if string.isprintable() else string.translate(_LINES)
