"""`hrm bench saving` on a tiny run: figures that hang together, and nothing left behind. No time is judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_trainer import TINY_MODEL

from hrm_core.benchmarks import saving as saving_module
from hrm_core.benchmarks.machine import Machine
from hrm_core.benchmarks.saving import Block, Estimate, SavingCost, _of_nothing, estimate, measure_saving
from hrm_core.benchmarks.saving_page import page
from hrm_core.cli.main import cli
from hrm_core.data.dataset import load_dataset
from hrm_core.recipe.lay import build_recipe

SMALL = (*TINY_MODEL, "training.max_steps=1000", "training.threads=1")
VERSIONS: dict[str, str | None] = {"python": "3.11", "torch": "2.13", "triton": None}
MACHINE = Machine("A Chip", "cpu", None, 1, VERSIONS, "0123456789abcdef", "2026-11-27", 0.5)


def made(low: float, median: float, high: float) -> SavingCost:
    """100 ms a step, every 50 steps: a share of 1 % is 50 ms."""
    wall, none = Estimate(median, low, high), Estimate(0.0, -0.001, 0.001)
    return SavingCost(0.1, 0.08, 4, 0.02, 0.3, 0.2, wall, Estimate(0.02, 0.01, 0.03), none, 2**20, 50, 9, MACHINE)


def test_shares_are_of_the_steps_between_two_and_a_bar_is_judged_by_the_interval() -> None:
    cost = made(0.02, 0.03, 0.04)
    assert cost.share(cost.wall.median) == pytest.approx(0.006)
    assert cost.cpu_share(cost.cpu.median) == pytest.approx(0.005)
    assert cost.verdict == "less than 1 %"
    assert made(0.06, 0.07, 0.08).verdict == "more than 1 %"
    assert made(0.04, 0.045, 0.08).verdict.startswith("cannot be told here")


def test_an_estimate_is_the_median_and_its_interval_narrows_with_more() -> None:
    few, many = estimate([1.0, 2.0, 3.0, 9.0]), estimate([1.0, 2.0, 3.0, 9.0] * 50)
    assert few.median == many.median == 2.5
    assert few.low <= 2.5 <= few.high
    assert many.high - many.low < few.high - few.low
    assert estimate([0.25] * 5) == Estimate(0.25, 0.25, 0.25)
    assert estimate([1.0, 2.0, 3.0, 9.0]) == few, "the same at each call"


def test_nothing_differs_by_nothing_and_a_steady_drift_cancels() -> None:
    assert _of_nothing([Block(float(number), 0.0) for number in range(8)]) == [0.0, 0.0]
    assert _of_nothing([Block(1.0, 0.0)] * 3) == []


def test_what_a_save_costs_is_told_from_a_machine_that_grows_slower(
    arc1_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks are made up: each takes a tenth longer than the one before, those with a save half a second more."""
    clock, order = [0.0], list[bool]()

    def block(self: saving_module.Loop, number: int, saving: bool) -> Block:
        order.append(saving)
        clock[0] += 0.1
        self.taken_s.append(0.01)
        self.landed_s.append(0.1)
        return Block(clock[0] + 0.5 * saving, clock[0] + 0.25 * saving)

    monkeypatch.setattr(saving_module.Loop, "block", block)
    recipe = build_recipe("demo", SMALL).recipe
    cost = measure_saving(recipe, load_dataset(arc1_file, recipe.data), tmp_path, 0.0)
    assert order[1:] == [False, True, True, False, True, False, False, True, False, True, True, False]
    assert cost.fours == 3
    assert (cost.wall.low, cost.wall.high) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (cost.cpu.low, cost.cpu.high) == (pytest.approx(0.25), pytest.approx(0.25))


def test_it_measures_and_leaves_nothing(arc1_file: Path, own_checkout: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    words = ["bench", "saving", "demo", *SMALL, "--seconds", "0", "--data", str(arc1_file), "--runs", str(runs)]
    done = CliRunner().invoke(cli, [*words, "--report", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["every_steps"] == 20 and found["fours"] == 3
    assert found["size_bytes"] > 10_000
    assert 0 < found["taken_s"] < found["landed_s"]
    assert found["step_s"] > 0 and found["alone_s"] > 0 and found["step_cpu_s"] > 0
    assert found["wall"]["low"] <= found["wall"]["median"] <= found["wall"]["high"]
    assert found["share"] == found["wall"]["median"] / (20 * found["step_s"])
    assert not list(runs.iterdir())
    shown = CliRunner().invoke(cli, [*words, "--report"])
    assert "the loop stands still for the copies" in shown.output
    assert "every 20 steps" in shown.output and "saving costs the step loop: " in shown.output
    (written,) = (own_checkout / "docs/benchmarks").iterdir()
    rows = [line for line in written.read_text().splitlines() if line.startswith("| `demo ")]
    assert len(rows) == 2, "a measurement adds a row"
    assert all("; commit " in row and "torch " in row for row in rows)


def test_the_page_names_device_versions_date_and_commit() -> None:
    first = page(None, made(0.02, 0.03, 0.04), "EXP-00 preset=cpu")
    assert first.startswith("# What saving costs the step loop on A Chip\n")
    row = first.splitlines()[-1]
    assert "| `EXP-00 preset=cpu` | 0.60 % (0.40 to 0.80) | 0.50 % (0.25 to 0.75) | 0.00 % (-0.02 to 0.02) |" in row
    for word in ("A Chip, 1 threads", "Python 3.11, torch 2.13", "2026-11-27; commit 0123456789ab", "load average 0.5"):
        assert word in row
    assert len(row.split(" | ")) == len(first.splitlines()[-3].split(" | "))
    again = page(first, made(0.02, 0.03, 0.04), "demo")
    assert again.startswith(first) and again.count("\n| `") == 2
