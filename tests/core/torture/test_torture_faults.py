"""The faults part: it sees runs that are not as they should be; in short form every fault ends as it must."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hrm_core.cli.run_commands import resume
from hrm_core.errors import UserError
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.writer import RunWriter
from hrm_core.torture import faults
from hrm_core.torture.bench import Bench
from hrm_core.torture.fault_runs import Case, ended, event_rows, finite_weights, rows_once
from hrm_core.torture.faults import FAULTS, Fault, trials, tried
from hrm_core.torture.inject import FAULTS as INJECTED


def made_run(folder: Path, steps: list[int], twice: bool = False, state: str = "finished") -> RunFolder:
    """A run by the real writer, with rows of these steps."""
    with RunWriter.create(folder, "", {"data": str(folder / "gone.h5")}) as writer:
        for step in steps:
            writer.metrics({"step": step})
        for _ in range(2 if twice else 1):
            writer.evaluation({"step": 10, "kind": "fast"})
        writer.event("nonfinite", 5, count=1)
        writer.status({"state": state, "global_step": steps[-1]})
        writer.result({"state": state, "step": steps[-1]})
    return writer.layout


def test_a_run_that_is_not_as_it_should_be_is_seen(tmp_path: Path) -> None:
    whole = made_run(tmp_path / "whole", list(range(5, 41, 5)))
    assert ended(whole, 40) == [] and rows_once(whole) == []
    assert [row["count"] for row in event_rows(whole, "nonfinite")] == [1]
    assert "no whole checkpoint" in finite_weights(whole)[0]
    short = made_run(tmp_path / "short", [5, 10, 20], twice=True, state="failed")
    assert "failed at step 20 of 40" in ended(short, 40)[0]
    assert rows_once(short) == [
        "short has rows of the steps [5, 10, 20]",
        "short has twice the validation fast of step 10",
    ]


def test_a_row_counts_the_tries_that_went_wrong(tmp_path: Path) -> None:
    bench, results = Bench(tmp_path, tmp_path / "arc1.h5", short=False, seed=0), [[], ["step 7: no event"], [], [], []]
    fault = Fault("made up", "by hand", "nothing happens", "no event", lambda case: results.pop(0))
    row = tried(bench, fault, RunFolder(tmp_path))
    assert not row.passed and row.times == 5
    assert row.found == "4 of 5 as they should; no event; first: step 7: no event"
    results[:] = [[] for _ in range(5)]
    assert tried(bench, fault, RunFolder(tmp_path)).passed


def test_a_run_without_a_fault_that_fails_makes_no_row_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "to_end", lambda case: ["it ended with 1"])
    rows = list(trials(Bench(tmp_path, tmp_path / "arc1.h5", short=True, seed=0)))
    assert [row.passed for row in rows] == [False]


def test_each_try_has_its_own_chance_and_run(tmp_path: Path) -> None:
    bench, seen = Bench(tmp_path, tmp_path / "arc1.h5", short=False, seed=3), []

    def attempt(case: Case) -> list[str]:
        seen.append((case.run.run_id, case.chance.random()))
        return []

    for _ in range(2):
        tried(bench, Fault("a kind", "", "", "", attempt), RunFolder(tmp_path))
    assert seen[:5] == seen[5:] and len(set(seen)) == 5
    assert seen[0][1] == random.Random("3 a kind 0").random()
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert {"loss", "gradient", "memory", "clock", "interrupts"} < set(INJECTED)


def test_a_resume_without_its_data_asks_for_it_before_torch_is_loaded(tmp_path: Path) -> None:
    made_run(tmp_path / "runs" / "one", [5, 10], state="stopped")
    with pytest.raises(UserError, match=r"(?s)one began with .*gone\.h5.*not there any more.*--data FILE") as caught:
        resume.main(["one", "--runs", str(tmp_path / "runs")], standalone_mode=False)
    assert caught.value.exit_code == 1
    with pytest.raises(UserError, match=r"--data .*other\.h5: there is no such file"):
        resume.main(
            ["one", "--runs", str(tmp_path / "runs"), "--data", str(tmp_path / "other.h5")], standalone_mode=False
        )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_fault_ends_as_it_must(arc1_file: Path, tmp_path: Path) -> None:
    rows = list(trials(Bench(tmp_path, arc1_file, short=True, seed=0)))
    assert [row.fault for row in rows] == [fault.name for fault in FAULTS]
    assert [(row.fault, row.found) for row in rows if not row.passed] == []
