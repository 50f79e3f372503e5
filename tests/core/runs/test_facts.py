"""Facts of a run against the files of the real writer, and orders by them."""

from __future__ import annotations

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.facts import NUMBERS, SORTS, Facts, check_sort, facts_of, in_order, seconds_since
from hrm_core.runs.reader import read_run
from hrm_core.runs.writer import RunWriter

BORN = "2026-11-24T01:30:00.000Z"


def test_the_facts_are_what_the_files_say(tmp_path):
    recipe = {"optimizer": {"kind": "lion"}, "training": {"seed": 3}}
    with RunWriter.create(
        tmp_path / "one", "", {"experiment": "EXP-07", "recipe": recipe, "created_utc": BORN}
    ) as writer:
        writer.metrics({"step": 40, "loss": 0.5})
        trivial = {"exact": {"pad": 0.0, "copy": 0.01}}
        writer.evaluation({"step": 40, "kind": "full", "metrics": {"exact": 0.2}, "trivial": trivial})
        writer.status(
            {"global_step": 40, "max_steps": 100, "eta_s": 60.0, "samples_per_sec": 7.0, "last_checkpoint_step": 40,
             "best": {"metric": "exact", "value": 0.3}, "alarms": [{"name": "input_blind"}]}
        )  # fmt: skip
        now_s = 1_795_483_800.0 + 90
        facts = facts_of(read_run(tmp_path / "one"), now_s)
    wanted = {
        "val": 0.2, "trivial": 0.01, "lift": pytest.approx(0.19), "best": 0.3, "loss": 0.5, "step": 40, "steps": 100,
        "done": 0.4, "speed": 7.0, "eta": 60.0, "seed": 3, "alarms": 1,
    }  # fmt: skip
    assert {key: facts.numbers[key] for key in wanted} == wanted and set(facts.numbers) == set(NUMBERS)
    assert facts.numbers["age"] == seconds_since(BORN, now_s)
    assert (facts.run_id, facts.experiment, facts.state, facts.alarms) == ("one", "EXP-07", "running", ("input_blind",))
    assert facts.recipe == recipe and {"best", "val", "alarm", "checkpoint"} <= facts.has and "result" not in facts.has


def test_a_run_that_says_nothing_has_no_numbers(tmp_path):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "run.json").write_text("{}")
    facts = facts_of(read_run(tmp_path / "bare"))
    assert {key for key, value in facts.numbers.items() if value is not None} == {"alarms"} and not facts.has


@pytest.mark.parametrize("written", ["", "yesterday", "9999-99-99", "0001-01-01T00:00:00"])
def test_a_time_that_is_none_has_no_age(written):
    assert seconds_since(written, 1e9) is None or written.startswith("0001")


def test_age_is_counted_in_seconds():
    assert seconds_since("1970-01-01T00:00:10.000Z", 70.0) == 60.0
    assert seconds_since("1970-01-01T00:10:00Z", 70.0) == 0.0


def made(name, state="running", **numbers):
    return Facts(name, "", state, {**dict.fromkeys(NUMBERS), **numbers})


FOUR = [made("b", val=0.1, age=9.0), made("a", "finished"), made("d", "lost", val=0.3, age=1.0), made("c", val=0.2)]


@pytest.mark.parametrize(
    ("word", "names"),
    [("val", "dcba"), ("-val", "bcda"), ("name", "abcd"), ("-name", "dcba"), ("age", "dbac"), ("state", "dbca")],
)
def test_the_order_is_that_of_the_key_and_what_has_no_value_stands_last(word, names):
    assert "".join(facts.run_id for facts in in_order(FOUR, word, lambda facts: facts)) == names


def test_every_key_sorts_both_ways():
    for key in SORTS:
        forth, back = (in_order(FOUR, word, lambda facts: facts) for word in (key, f"-{key}"))
        assert sorted(facts.run_id for facts in forth) == sorted(facts.run_id for facts in back) == list("abcd")


def test_a_key_that_there_is_not_is_said_with_the_nearest():
    with pytest.raises(UserError, match="did you mean val"):
        check_sort("vall")
    with pytest.raises(UserError, match="use one of name"):
        check_sort("\x1bzz")
