"""The original run's mistake, trained for real: it must collapse, and the tools must say so at the first validation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import evaluation_rows, read_run


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_plateau_71_is_named_at_its_first_full_validation(arc1_file: Path, tmp_path: Path) -> None:
    # Fast validations have no part in this: one, at the end.
    quick = ("training.max_steps=80", "training.fast_validation_every=1.0")
    words = ["run", "plateau-71", *quick, "--name", "plateau"]
    place = ["--runs", str(tmp_path), "--data", str(arc1_file)]
    done = subprocess.run(
        [sys.executable, "-m", "hrm_core.cli.main", *words, *place],
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = RunFolder(tmp_path / "plateau")
    full = [row for row in evaluation_rows(folder) if row["kind"] == "full"]
    first, last = full[0], full[-1]
    assert first["pairs"] == 84
    assert first["split"] == "eval"
    # How blind it is by then depends on the machine (input sensitivity 0.12 in fp32 on one): at the last it is.
    assert first["alarms"][0]["name"] == "constant_output"
    assert [alarm["name"] for alarm in last["alarms"]][:2] == ["constant_output", "input_blind"]
    sentence = first["alarms"][0]["sentence"]
    pad = last["trivial"]["padded_accuracy"]["pad"]
    assert f"{100 * pad:.1f} %" in sentence
    assert abs(last["metrics"]["padded_accuracy"] - pad) < 0.02
    assert last["input_sensitivity"] < 0.1
    assert last["lift"]["padded_accuracy"] < 0
    assert first["lost"] is first["gained"] is None
    assert last["lost"] == last["gained"] == []  # nothing is ever right
    assert {alarm["name"] for alarm in read_run(folder).alarms} >= {"constant_output", "input_blind"}
    shown = subprocess.run(
        [sys.executable, "-m", "hrm_core.cli.main", "show", "plateau", "--runs", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "constant_output" in shown.stdout
    diagnosed = subprocess.run(
        [sys.executable, "-m", "hrm_core.cli.main", "diagnose", "plateau", "--runs", str(tmp_path), "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    findings = json.loads(diagnosed.stdout)["findings"]
    assert [finding["name"] for finding in findings[:2]] == ["constant_output", "input_blind"]
    for cause in ("model.inject_input=true", "identity.kind=shared", "loss.include_pad=false"):
        assert cause in findings[0]["advice"]
    assert len(findings[0]["evidence"]) == 3
