"""The table of docs/reliability.md: rows that were run, with the day, commit and machine of each.

Torture room. Rows of one part -> the kept rows (JSON beside the page) with that part's replaced -> the part of the page
between two marks. The prose around it is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hrm_core.errors import UserError
from hrm_core.runs.atomic import write_bytes, write_json
from hrm_core.torture.bench import Row
from hrm_core.torture.parts import PARTS

BEGIN, END = "<!-- hrm torture: begin -->", "<!-- hrm torture: end -->"
HEAD = "| fault | how | times | bar | found | lost | met | run |\n|---|---|---:|---|---|---|---|---|\n"


def kept_rows(path: Path) -> dict[str, Any]:
    """part -> {"rows", "when", "commit", "machine", "seed", "short", "seconds"} as they were kept; {} for none."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def result(rows: Iterable[Row], seconds: float, about: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a part."""
    return {"rows": [asdict(row) for row in rows], "seconds": round(seconds, 1), **about}


def table(kept: Mapping[str, Any]) -> str:
    """The rows of all parts, in their order, as Markdown."""
    lines = []
    for name in PARTS:
        if name not in kept:
            continue
        part = kept[name]
        for row in part["rows"]:
            run = f"{part['when'][:10]}, {part['commit'][:9]}" + (", short" if part["short"] else "")
            met = "yes" if row["passed"] else "**no**"
            cells = (row["fault"], row["how"], row["times"], row["bar"], row["found"], row["lost"], met, run)
            lines.append("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    machines = sorted({part["machine"] for part in kept.values()})
    return HEAD + "\n".join(lines) + "\n\n" + "\n".join(f"Machine: {machine}" for machine in machines) + "\n"


def write_page(page: Path, kept: Mapping[str, Any]) -> None:
    """Puts the table between the marks of the page, and the rows beside it. UserError (2) where the marks are gone."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{page}: the marks {BEGIN} and {END} are not there; put them where the table belongs.", 2)
    write_bytes(page, f"{before}{BEGIN}\n{table(kept)}{END}{after}".encode())
    write_json(page.with_suffix(".json"), kept)
