"""Runs that began from a snapshot are no repeats of runs that did not: arms of their own, and asked for by name."""

from __future__ import annotations

from typing import Any

import pytest

from hrm_core.errors import UserError
from hrm_core.evaluation.comparison_arms import group_runs
from hrm_core.evaluation.comparison_runs import read_facts
from hrm_core.evaluation.comparison_select import arms_of_words, runs_of_word

PARENT = {"parent": {"run": "old", "step": 20, "digest": "f" * 64}}


def test_they_are_an_arm_of_their_own_that_says_so(made_runs: Any) -> None:
    folders = [made_runs.make("a", seed=1), made_runs.make("b", seed=2, run_json=PARENT)]
    first, second = group_runs([read_facts(folder) for folder in folders])
    assert (first.name, second.name) == ("EXP-00", "EXP-00 (from old@20)")
    assert [run.run_id for run in first.runs] == ["a"]
    (alone,) = group_runs([read_facts(folders[1])])
    assert alone.name == "EXP-00 (from old@20)"
    second, first = group_runs([read_facts(folder) for folder in reversed(folders)])
    assert first.name == "EXP-00 (from drawn weights)"


def test_an_experiment_s_name_leaves_them_out(made_runs: Any) -> None:
    made_runs.make("b", seed=2, run_json=PARENT)
    with pytest.raises(UserError, match="no finished run of EXP-00"):
        runs_of_word(made_runs.folder, "EXP-00")
    made_runs.make("a", seed=1)
    assert [run.run_id for run in runs_of_word(made_runs.folder, "EXP-00")] == ["a"]


def test_named_they_do_not_join_the_control(made_runs: Any) -> None:
    made_runs.make("a", seed=1)
    made_runs.make("b", seed=2, run_json=PARENT)
    control, (other,) = arms_of_words(made_runs.folder, "EXP-00", ["b"])
    assert [run.run_id for run in control.runs] == ["a"]
    assert other.name == "EXP-00 (from old@20)"
