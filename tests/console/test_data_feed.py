"""Batches of rows as curves: names, axes, gaps, going back, validations and events at their places."""

from __future__ import annotations

import math

from hrm_console.rows.axes import Axes
from hrm_console.rows.blocks import block_of_rows
from hrm_console.rows.feed import WHOLE, Batch, Feed, numbers_of
from hrm_console.rows.marks import marks_of


def evaluation_row(step, kind="full"):
    return {
        "step": step,
        "elapsed_s": 1.0,
        "kind": kind,
        "pairs": 416,
        "loss": 0.9,
        "metrics": {"exact": 0.1, "cell_accuracy": 0.8, "pass_at_1": None},
        "trivial": {"exact": {"pad": 0.0, "copy": 0.009}, "cell_accuracy": {"pad": 0.0, "copy": 0.61}},
        "input_sensitivity": 0.93,
        "notes": [],
    }


def training(step, **more):
    return {"step": step, "elapsed_s": step * 0.5, "samples": step * 32, "loss": 1.0, "lr": 1e-3, **more}


def feed_of(*rows, **more):
    feed = Feed("one")
    feed.take(Batch("one", metrics=list(rows), **more))
    return feed


def block_batch(axes, *rows):
    block = block_of_rows(rows)
    axes.join(block)
    return Batch("one", block=block)


def points(series, kind="step"):
    return list(zip(series.axis(kind), series.ys, strict=True))


def test_every_number_of_the_rows_is_a_curve_on_four_axes():
    feed = feed_of(
        training(10, power_w=80.0, replay_age=3, ok=True, words="x"), training(20, power_w=40.0, replay_age=4)
    )
    assert points(feed.training["replay_age"]) == [(10, 3), (20, 4)]
    assert points(feed.training["loss"], "time") == [(5, 1), (10, 1)]
    assert points(feed.training["lr"], "samples") == [(320, 1e-3), (640, 1e-3)]
    assert points(feed.training["loss"], "joules") == [(400, 1), (600, 1)]
    assert not {"step", "elapsed_s", "ok", "words"} & set(feed.training)
    assert feed.metrics["step"] == 20 and feed.read


def test_blocks_and_rows_make_the_same_curves():
    rows = [training(step, grad_norm=None if step % 30 else 2.0, power_w=None) for step in range(10, 200, 10)]
    by_rows, by_blocks, axes = feed_of(*rows), Feed("one"), Axes()
    for start in range(0, len(rows), 4):
        by_blocks.take(block_batch(axes, *rows[start : start + 4]))
    for name, series in by_rows.training.items():
        for kind in ("step", "time", "samples"):
            assert str(points(by_blocks.training[name], kind)) == str(points(series, kind))
        assert not series.axis("joules") and not by_blocks.training[name].axis("joules")


def test_a_loss_that_was_not_finite_is_a_gap_and_what_was_not_measured_is_left_out():
    feed = feed_of(
        *(
            training(step, loss=None if step == 20 else 1.0, power_w=None if step == 20 else 5.0)
            for step in (10, 20, 30)
        )
    )
    assert list(feed.training["loss"].xs) == [10, 20, 30] and math.isnan(feed.training["loss"].ys[1])
    assert points(feed.training["power_w"]) == [(10, 5), (30, 5)]
    assert points(feed.training["power_w"], "time") == [(5, 5), (15, 5)]
    feed.take(Batch("one", metrics=[training(40, power_w=6.0), training(50)]))
    assert points(feed.training["power_w"], "time") == [(5, 5), (15, 5), (20, 6)]
    assert len(feed.training["loss"]) == 5


def test_a_column_that_comes_late_begins_where_it_comes():
    feed = feed_of(training(10), training(20))
    feed.take(Batch("one", metrics=[training(30, replay_loss=2.0, token_loss=1.5)]))
    assert points(feed.training["replay_loss"], "time") == [(15, 2)]
    assert feed.training["token_loss"].num_finite == 1 and list(feed.training["token_loss"].xs) == [10, 20, 30]
    feed.take(Batch("one", metrics=[{"step": 40, "loss": 0.5}]))
    assert points(feed.training["loss"], "time")[-1] == (15, 0.5)  # a row without a time stands where the last one was


def test_rows_that_go_back_replace_what_was_above():
    rows = [training(step, loss=float(step), power_w=None if step == 10 else 1.0) for step in (10, 20, 30, 40)]
    feed = feed_of(*rows)
    feed.take(Batch("one", metrics=[training(25, loss=-1.0, power_w=2.0)]))
    assert points(feed.training["loss"]) == [(10, 10), (20, 20), (25, -1)]
    assert points(feed.training["power_w"]) == [(20, 1), (25, 2)]
    seconds = list(feed.training["loss"].axis("time"))
    assert seconds == sorted(seconds) and len(seconds) == 3


def test_a_whole_batch_forgets_what_was_known():
    feed = feed_of(training(10), evaluations=[evaluation_row(10)], events=[{"kind": "best", "step": 10}], log=["x"])
    feed.take(Batch("one", whole=True))
    assert not len(feed.training["loss"]) and not feed.evaluations and not feed.marks and feed.log_count == 0
    assert feed.metrics is None and feed.axes == {"step": feed.training["loss"].xs}


def test_every_number_of_a_validation_is_a_curve():
    row = evaluation_row(100) | {"calibration": {"ece": 0.1, "words": "x"}, "halting": {"never": 0.5, "histogram": [1]}}
    row["metrics"]["pass_at_2"] = 0.25
    feed = feed_of(evaluations=[row, evaluation_row(50, "fast")])
    assert feed.full["pass_at_2"].last == (100, 0.25) and feed.full["calibration.ece"].last == (100, 0.1)
    assert feed.full["halting.never"].last == (100, 0.5) and feed.full["input_sensitivity"].last == (100, 0.93)
    assert feed.fast["exact"].last == (50, 0.1) and "pass_at_2" not in feed.fast
    assert not {"step", "pairs", "elapsed_s", "kind", "metrics"} & set(feed.full)
    assert numbers_of({"metrics": None, "calibration": "x", "loss": math.inf}) == {}


def test_validations_and_events_stand_at_the_time_of_their_step_also_when_they_are_read_first():
    feed = feed_of(evaluations=[evaluation_row(20), evaluation_row(45)], events=[{"kind": "rollback", "step": 30}])
    assert list(feed.full["exact"].axis("time")) == [] and feed.marks[0].at("time") is None
    axes = Axes()
    feed.take(block_batch(axes, *(training(step) for step in (10, 20))))
    assert list(feed.full["exact"].axis("time")) == [10, 10]
    feed.take(block_batch(axes, *(training(step) for step in (30, 40, 50))))
    assert list(feed.full["exact"].axis("time")) == [10, 20] and list(feed.full["exact"].axis("samples")) == [640, 1280]
    assert feed.marks[0].at("time") == 15 and feed.marks[0].at("step") == 30
    feed.take(Batch("one", evaluations=[evaluation_row(50)]))
    assert list(feed.full["exact"].axis("time")) == [10, 20, 25]


def test_of_old_validations_only_what_marks_say_is_kept():
    """And the newest of each kind, however many of the other came after it."""
    feed = Feed("one")
    full = evaluation_row(10, "full")
    feed.take(Batch("one", evaluations=[full]))
    for step in range(20, 20 + 10 * 100, 10):
        feed.take(Batch("one", evaluations=[evaluation_row(step, "fast")]))
    assert len(feed.evaluations) == 101 and feed.newest("full") == full
    assert set(feed.evaluations[0]) == set(feed.evaluations[60]) == {"step", "kind", "trivial"}
    assert feed.evaluations[60]["trivial"] is feed.evaluations[0]["trivial"], "the same values are kept once"
    assert feed.evaluations[-WHOLE] == evaluation_row(1010 - 10 * (WHOLE - 1), "fast")
    assert feed.evaluation == feed.newest("fast") == evaluation_row(1010, "fast")
    assert len(feed.fast["loss"]) == 100 and feed.trivial("exact") == 0.009
    # The run went back: what came after is forgotten, and the newest is the one before it, as far as it is kept.
    feed.take(Batch("one", evaluations=[evaluation_row(495, "fast")]))
    assert feed.newest("full") == full and feed.evaluation == evaluation_row(495, "fast")
    assert [row["step"] for row in feed.evaluations[-2:]] == [490, 495]


def test_trivial_values_are_those_of_the_newest_full_validation():
    fast = evaluation_row(200, "fast")
    fast["trivial"] = {"cell_accuracy": {"copy": 0.1}, "only": {"pad": 0.3}}
    feed = feed_of(evaluations=[evaluation_row(100), fast])
    assert feed.trivial("cell_accuracy") == 0.61 and feed.trivial("only") == 0.3 and feed.trivial("loss") is None
    assert Feed("none").trivial("exact") is None


def test_marks_say_what_happened_and_not_too_often():
    events = [
        {"kind": "started", "step": 0},
        *({"kind": "best", "step": step} for step in (10, 20, 30)),
        *({"kind": "loss_spike", "step": step} for step in range(100)),
        {"kind": "optimizer_swapped", "step": 40, "optimizer": "lion"},
        {"kind": "alarm", "step": 50, "name": "input_blind"},
        {"kind": "stage", "step": 60, "stage": 2},
        {"kind": "best", "step": None},
        {"kind": "alarm", "step": 70},
    ]
    marks = marks_of(events, lambda step: {"time": step / 2})
    assert [mark.label for mark in marks] == ["best", *["spike"] * 12, "lion", "input_blind", "stage 2", "alarm"]
    assert marks[0].x == 30 and marks[0].at("time") == 15 and [mark.x for mark in marks[1:3]] == [88, 89]


def test_events_that_are_no_marks_push_no_mark_out():
    feed = feed_of(events=[{"kind": "stage", "step": 5, "stage": 1}])
    feed.take(Batch("one", events=[{"kind": "checkpoint", "step": step} for step in range(2000)]))
    assert [mark.label for mark in feed.marks] == ["stage 1"] and len(feed.events) == 500
