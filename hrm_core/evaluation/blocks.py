"""Text in pieces that a terminal and a Markdown file show alike: headings, sentences, tables.

Evaluation room: `Block`s -> Markdown. Whoever prints to a terminal walks over them. What they say is others' affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hrm_core.runs.text import clean


@final
@dataclass(frozen=True)
class Block:
    """A heading (empty: none), then sentences, then a table (no columns: none)."""

    title: str = ""
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def markdown(blocks: Sequence[Block], heading: str = "##") -> str:
    """The blocks as Markdown; every text is cleaned, and a cell cannot leave its table."""
    parts: list[str] = []
    for block in blocks:
        if block.title:
            parts.append(f"{heading} {_safe(block.title)}")
        parts += [_safe(line) for line in block.lines]
        if block.columns and block.rows:
            rules = "|" + "|".join(" --- " for _ in block.columns) + "|"
            parts.append("\n".join([_row(block.columns), rules, *(_row(row) for row in block.rows)]))
    return "\n\n".join(parts) + "\n"


def _safe(text: str) -> str:
    return clean(text).replace("<", "&lt;")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_safe(cell).replace("|", "\\|") for cell in cells) + " |"
