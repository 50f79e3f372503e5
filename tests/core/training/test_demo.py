"""`hrm demo` without a terminal, whole: it learns, and it says what it learned beside the trivial predictors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import evaluation_rows, metrics_rows


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1500)
def test_demo_learns(arc1_file: Path, tmp_path: Path) -> None:
    """One seed; the pooled figures of five seeds are in docs/benchmarks. Bars are far below those, far above chance."""
    place = ["--runs", str(tmp_path), "--data", str(arc1_file)]
    done = subprocess.run(
        [sys.executable, "-m", "hrm_core.cli.main", "demo", *place],
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "best trivial predictor" in done.stdout
    folder = RunFolder(next(path for path in tmp_path.iterdir() if path.name.startswith("demo-")))
    losses = [row["loss"] for row in metrics_rows(folder)]
    assert losses[-1] < 0.3 * losses[0]
    last = [row for row in evaluation_rows(folder) if row["kind"] == "full"][-1]
    assert last["step"] == 1300
    assert last["pairs"] == 69
    assert max(last["trivial"]["exact"].values()) < 0.01
    assert last["metrics"]["exact"] >= 2 / 69
    assert last["lift"]["cell_accuracy"] > 0.1
    assert last["input_sensitivity"] > 0.9
    assert last["input_gain"] > 0.1
    assert not last["alarms"]
