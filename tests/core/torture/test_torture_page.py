"""The table of the torture: rows of a part replace that part's alone, prose stays, nothing is written without marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.torture.bench import Row
from hrm_core.torture.page import BEGIN, END, kept_rows, result, write_page
from hrm_core.torture.parts import PARTS, check_parts

ABOUT = {"when": "2026-11-27T10:00:00Z", "commit": "0123456789abcdef", "machine": "a machine", "seed": 0, "short": True}


def row(fault: str, passed: bool = True) -> Row:
    return Row(fault, "a | b", 3, "all", "3 of 3", "nothing", passed)


def test_rows_of_a_part_replace_that_part_and_prose_stays(tmp_path: Path) -> None:
    page = tmp_path / "reliability.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    first = {"kills": result([row("kill")], 1.0, ABOUT), "fuzz": result([row("fuzz")], 1.0, ABOUT)}
    write_page(page, first)
    again = {**kept_rows(page.with_suffix(".json")), "kills": result([row("kill again", passed=False)], 1.0, ABOUT)}
    write_page(page, again)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "kill again" in text and "| kill |" not in text and "| fuzz |" in text and "a \\| b" in text
    assert "**no**" in text and "2026-11-27, 012345678, short" in text and text.count("Machine: a machine") == 1


def test_a_page_without_marks_stays_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "reliability.md"
    page.write_text("prose\n", encoding="utf-8")
    with pytest.raises(UserError, match="marks"):
        write_page(page, {})
    assert page.read_text(encoding="utf-8") == "prose\n"


def test_a_part_that_does_not_exist_is_named() -> None:
    with pytest.raises(UserError, match="no part 'kill'"):
        check_parts(("kill",))
    assert check_parts(()) == tuple(PARTS)
