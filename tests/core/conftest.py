"""Finished runs made up for comparisons, written by the real writer (scores, tests solved and power are the test's),
and a checkout for the pages that benchmarks write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hrm_core.benchmarks import checks
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.writer import RunWriter

SLOTS = 32  # of preset demo
TESTS = 20


class MadeRuns:
    """Makes runs of preset demo in one folder: a full validation every ten steps, a row of the log with each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(
        self,
        name: str,
        experiment: str = "EXP-00",
        seed: int = 1,
        scores: Sequence[float] = (0.0, 0.1),
        *,
        overrides: Sequence[str] = (),
        state: str = "finished",
        solved: Sequence[Sequence[int]] = (),
        power_w: float | None = None,
        row: Mapping[str, Any] | None = None,
        evaluation: Mapping[str, Any] | None = None,
        run_json: Mapping[str, Any] | None = None,
    ) -> Path:
        """`solved`: for each of the last validations, which of the twenty tests; `row` and so on are laid over."""
        resolved = build_recipe(experiment, ["preset=demo", f"training.seed={seed}", *overrides])
        head = {
            "experiment": experiment, "data_digest": "d1", "tasks": 60, "device": "a made-up CPU", "dtype": "float32",
            "threads": 1, "commit": "0123456789abcdef", "versions": {"python": "3.11", "torch": "2.12"},
        }  # fmt: skip
        folder = self.folder / name
        with RunWriter.create(folder, to_toml(resolved.recipe), {**head, **(run_json or {})}) as writer:
            for place, score in enumerate(scores, 1):
                step = 10 * place
                writer.metrics(
                    {
                        "step": step, "elapsed_s": 2.0 * step, "samples": SLOTS * step, "tokens": 49 * SLOTS * step,
                        "loss": 2.0 / place, "grad_norm": 1.0 + place % 2, "clipped": 3, "nonfinite": 0,
                        "memory_gib": 0.5, "power_w": power_w, **(row or {}),
                    }
                )  # fmt: skip
                writer.evaluation(full_row(step, score) | dict(evaluation or {}))
                back = len(scores) - place
                if back < len(solved):
                    writer.predictions(step, prediction_rows(solved[len(solved) - 1 - back]))
            last = 10 * len(scores)
            writer.status({"state": state, "global_step": last, "max_steps": last})
            if state in ("finished", "stopped", "failed"):
                writer.result(
                    {"state": state, "step": last, "reason": "all steps done" if state == "finished" else "x"}
                )
        return folder


def full_row(step: int, exact: float) -> dict[str, Any]:
    """A full validation of twenty tests of eighteen tasks."""
    return {
        "step": step, "kind": "full", "split": "val", "weights": "ema", "pairs": TESTS, "tasks": 18, "loss": 1.0,
        "metrics": {"exact": exact, "cell_accuracy": 0.5}, "notes": ["a note"],
        "trivial": {"exact": {"pad": 0.0, "copy": 0.05}, "cell_accuracy": {"pad": 0.0, "copy": 0.4}},
        "halting": {"histogram": [], "never": 1.0}, "calibration": {"ece": 0.25, "base_rate": exact},
        "families": {
            "recolour": {"pairs": 10, "exact": exact, "low": 0.0, "high": 1.0},
            "crop": {"pairs": 5, "exact": 0.0, "low": 0.0, "high": 0.5},
        },
        "plan_families": {"symmetry": {"pairs": 4, "exact": exact / 2, "low": 0.0, "high": 1.0}},
    }  # fmt: skip


def prediction_rows(solved: Sequence[int]) -> list[dict[str, Any]]:
    """Twenty tests, of which these are solved."""
    return [{"task": f"t{test:02d}", "test": 0, "exact": test in solved} for test in range(TESTS)]


@pytest.fixture
def made_runs(tmp_path: Path) -> MadeRuns:
    folder = tmp_path / "runs"
    folder.mkdir()
    return MadeRuns(folder)


@pytest.fixture
def own_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without a page, where `--report` and `--write` put theirs."""
    folder = tmp_path / "checkout"
    for part in ("tests/kernels", "docs/benchmarks"):
        (folder / part).mkdir(parents=True)
    monkeypatch.setattr(checks, "CHECKOUT", folder)
    return folder
