"""A report that needs no tool of ours: tables, curves and grids, each number beside the trivial one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.dom import minidom

import pytest
from click.testing import CliRunner

from hrm_core.cli.report_command import report
from hrm_core.errors import UserError
from hrm_core.interchange import report_files
from hrm_core.interchange.report_files import cells_of, grids_svg, to_png
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import write_predictions
from hrm_core.runs.writer import RunWriter

NAMES = ["one", "two"]


def validation(step: int, exact: float) -> dict[str, Any]:
    return {
        "step": step,
        "kind": "full",
        "split": "val",
        "pairs": 40,
        "tasks": 30,
        "loss": 2.0 - exact,
        "metrics": {"exact": exact, "cell_accuracy": 0.5},
        "trivial": {"exact": {"pad": 0.0, "copy": 0.125}, "cell_accuracy": {"copy": 0.4}},
    }


def record(task: str, exact: bool) -> dict[str, Any]:
    return {
        "task": task,
        "test": 0,
        "exact": exact,
        "confidence": 0.5,
        "input": ["12"],
        "target": ["21"],
        "predicted": ["21" if exact else ""],
    }


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        layout = RunFolder(tmp_path / "runs" / name)
        writer = RunWriter.create(layout, "", {"experiment": "demo"})
        for step in range(1, 9):
            writer.metrics({"step": step, "loss": 3.0 / step})
        writer.evaluation(validation(4, 0.25))
        writer.evaluation(validation(8, 0.5 + number / 4))
        writer.close()
        write_predictions(layout, 8, [record(f"task{place}<b>", place > 4) for place in range(8)])
    return tmp_path / "runs"


def made(runs: Path, out: Path, *more: str) -> str:
    words = [*NAMES, "--out", str(out), "--runs", str(runs), *more]
    done = CliRunner().invoke(report, words, catch_exceptions=False)
    assert done.exit_code == 0
    return (out / "README.md").read_text()


def test_every_number_stands_beside_the_trivial_one(runs: Path, tmp_path: Path) -> None:
    text = made(runs, tmp_path / "out")
    assert "| exact grid | 50.0 | 12.5 (copy) | +37.5 |" in text and "| exact grid | 75.0 | 12.5 (copy) |" in text
    assert "trivial (copy)" in (tmp_path / "out/exact.svg").read_text()
    for name in NAMES:
        assert f"## {name}" in text and name in (tmp_path / "out/loss.svg").read_text()


def test_every_picture_is_there_and_is_well_formed(runs: Path, tmp_path: Path) -> None:
    text = made(runs, tmp_path / "out", "--grids", "4")
    pictures = {line.partition("(")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert pictures == {path.name for path in (tmp_path / "out").glob("*.svg")} and len(pictures) == 5 + 2 * 4
    for name in pictures:
        minidom.parse(str(tmp_path / "out" / name))
    assert text.count(": right, confidence 0.50") == text.count(": wrong, confidence 0.50") == 4
    assert "<b>" not in text


def test_a_run_without_a_validation_is_said_to_have_none(tmp_path: Path) -> None:
    RunWriter.create(RunFolder(tmp_path / "runs/new"), "", {"experiment": "demo"}).close()
    words = ["new", "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    CliRunner().invoke(report, words, catch_exceptions=False)
    assert "No full validation yet." in (tmp_path / "out/README.md").read_text()
    with pytest.raises(UserError, match="is not empty"):
        CliRunner().invoke(report, words, catch_exceptions=False)


def test_png_shows_what_svg_says(runs: Path, tmp_path: Path) -> None:
    made(runs, tmp_path / "out", "--png", "--grids", "1")
    for path in (tmp_path / "out").glob("*.svg"):
        assert path.with_suffix(".png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert to_png(grids_svg(record("a", True))) != to_png(grids_svg(record("a", False)))


def test_png_without_its_package_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    with pytest.raises(UserError, match="pip install resvg-py"):
        to_png("<svg/>")


def test_a_machine_without_fonts_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_files, "_renderer", lambda: lambda **_: b"blank")
    report_files.font_family.cache_clear()
    assert report_files.font_family() is None
    report_files.font_family.cache_clear()


@pytest.mark.parametrize(
    ("rows", "grid"),
    [(["01", "23"], [[0, 1], [2, 3]]), ([], []), (["1", "x"], [[1]]), ([3], []), (["1" * 31], []), (["¹"], [])],
)
def test_grids_from_a_file_hold_colours_alone(rows: list[Any], grid: list[list[int]]) -> None:
    assert cells_of(rows) == grid
    minidom.parseString(grids_svg({"task": "<&\x1b", "input": rows, "target": rows, "predicted": json.loads("[]")}))
