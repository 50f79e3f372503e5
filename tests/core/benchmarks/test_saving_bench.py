"""`hrm bench saving` on a tiny run: figures that hang together, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner
from small_trainer import TINY_MODEL

from hrm_core.benchmarks.saving import SavingCost
from hrm_core.cli.main import cli

SMALL = (*TINY_MODEL, "training.max_steps=1000", "training.threads=1")


def test_a_share_is_of_the_steps_between_two() -> None:
    cost = SavingCost(0.1, 10, 0.02, 0.5, 0.6, 0.05, 0.01, 2**20, 50, 3, "this")
    assert cost.share(cost.cost_s) == 0.05 / 5.0


def test_it_measures_and_leaves_nothing(arc1_file: Path, tmp_path: Path) -> None:
    words = ["bench", "saving", "demo", *SMALL, "--repeats", "2", "--data", str(arc1_file), "--runs", str(tmp_path)]
    done = CliRunner().invoke(cli, [*words, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["every_steps"] == 20
    assert found["size_bytes"] > 10_000
    assert 0 < found["taken_s"] < found["landed_s"]
    assert found["step_s"] > 0 and found["alone_s"] > 0
    assert found["share"] == found["cost_s"] / (20 * found["step_s"])
    assert not list(tmp_path.iterdir())
    shown = CliRunner().invoke(cli, words)
    assert "the loop stands still for the copies" in shown.output
    assert "every 20 steps" in shown.output
