"""Window, crosshair and axes of the run screen's curves: pure moves against what a person expects of the keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm_console.rows.feed import Batch, Feed
from hrm_console.views.run.events import moments, next_moment
from hrm_console.views.run.look import (
    Look,
    at_step,
    axes_of,
    extent,
    limits,
    look_of,
    moment_words,
    nearest,
    on_axis,
    panned,
    pointed,
    reference,
    stepped,
    view_of,
    zoomed,
)

FULL = (0.0, 1000.0)
ROWS = [float(step) for step in range(10, 1001, 10)]


def feed_of(steps=range(10, 1001, 10), **more):
    feed = Feed("one")
    rows = [
        {"step": step, "elapsed_s": step * 0.5, "samples": step * 32, "loss": 1.0, "power_w": 100.0} for step in steps
    ]
    feed.take(Batch("one", metrics=rows, **more))
    return feed


def test_zooming_at_the_right_edge_follows_new_rows():
    look = zoomed(Look(), FULL, 0.5)
    assert limits(look, FULL) == (500.0, 1000.0)
    assert limits(look, (0.0, 1200.0)) == (700.0, 1200.0)


def test_a_window_that_was_moved_stays_where_it_is_until_it_is_back_at_the_end():
    look = panned(zoomed(Look(), FULL, 0.25), FULL, -1)
    assert limits(look, FULL) == (687.5, 937.5) == limits(look, (0.0, 5000.0))
    assert panned(look, FULL, 1).end is None


def test_the_crosshair_keeps_its_place_when_zooming_in():
    look = zoomed(Look(cursor=200.0), FULL, 0.5)
    low, high = limits(look, FULL)
    assert (200 - low) / (high - low) == pytest.approx(0.2)


def test_zooming_out_to_the_whole_run_shows_the_whole_run():
    look = zoomed(zoomed(Look(), FULL, 0.5), FULL, 2.0)
    assert look.span is None and limits(look, FULL) == FULL


@given(
    moves=st.lists(st.sampled_from(["in", "out", "left", "right", "step", "back", "far"]), max_size=40),
    first=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e9),
)
def test_no_keys_lead_out_of_the_run(moves, first, width):
    full = (first, first + width)
    rows = [first + width * part / 50 for part in range(51)]
    look = Look()
    for move in moves:
        look = {
            "in": lambda look: zoomed(look, full, 0.5),
            "out": lambda look: zoomed(look, full, 2.0),
            "left": lambda look: panned(look, full, -1),
            "right": lambda look: panned(look, full, 1),
            "step": lambda look: stepped(look, full, rows, 0.01),
            "back": lambda look: stepped(look, full, rows, -0.01),
            "far": lambda look: stepped(look, full, rows, -0.1),
        }[move](look)
        low, high = limits(look, full)
        slack = 1e-6 * (abs(first) + width)
        assert low >= full[0] - slack and high <= full[1] + slack and high > low
        assert look.cursor is None or look.cursor in rows


def test_a_step_of_the_crosshair_ends_on_a_row_and_always_moves():
    look = stepped(Look(), FULL, ROWS, -0.001)
    assert look.cursor == 1000.0
    assert stepped(look, FULL, ROWS, -0.001).cursor == 990.0
    assert stepped(look, FULL, ROWS, -0.1).cursor == 900.0
    assert stepped(replace(look, cursor=10.0), FULL, ROWS, 0.001).cursor == 20.0
    assert stepped(look, FULL, ROWS, 0.001).cursor == 1000.0
    assert stepped(look, FULL, [], 0.1) == look


def test_a_crosshair_beyond_the_window_takes_it_along():
    look = pointed(zoomed(Look(), FULL, 0.25), FULL, ROWS, 101)
    assert look.cursor == 100.0
    low, high = limits(look, FULL)
    assert low <= 100.0 <= high and high - low == 250.0


def test_the_axes_of_a_run_are_those_it_has_rows_for():
    assert axes_of(feed_of()) == ("step", "time", "samples", "joules")
    bare = Feed("bare")
    bare.take(Batch("bare", metrics=[{"step": 1, "loss": 1.0}]))
    assert axes_of(bare) == ("step",) and axes_of(Feed("none")) == ("step",)


def test_another_axis_keeps_window_and_crosshair():
    feed = feed_of()
    look = on_axis(Look(span=200.0, end=600.0, cursor=500.0), feed, "time")
    assert (look.end, look.span, look.cursor) == (300.0, 100.0, 250.0)
    assert on_axis(look, feed, "step") == Look(span=200.0, end=600.0, cursor=500.0)
    assert on_axis(Look(cursor=10.0), Feed("none"), "time") == Look(x_kind="time")
    assert at_step(feed, 500, "samples") == 16_000 and at_step(feed, 500, "step") == 500


def test_the_crosshair_is_said_on_every_axis():
    assert moment_words(Look(cursor=500.0), feed_of()).startswith("step 500, 4m10s, 16k samples, ")
    assert moment_words(Look(), feed_of()) == ""


def test_extent_and_reference_of_nothing():
    assert extent([Feed("none")], "step") is None and len(reference(Feed("none"), "step")) == 0
    assert nearest(ROWS, -5) == 10.0 and nearest(ROWS, 5e9) == 1000.0 and nearest(ROWS, 16) == 20.0


def test_events_are_jumped_to_in_their_order_and_say_their_trivial_value():
    evaluation = {"step": 500, "kind": "full", "metrics": {"exact": 0.1}, "trivial": {"exact": {"copy": 0.02}}}
    events = [
        {"step": 800, "kind": "alarm", "name": "plateau", "sentence": "No\x1b[2J gain."},
        {"step": 500, "kind": "best", "metric": "exact", "value": 0.1},
        {"step": 250, "kind": "checkpoint"},
        {"step": 300, "kind": "stage", "stage": 1, "scale": 0.8},
        {"kind": "best"},
    ]
    feed = feed_of(evaluations=[evaluation], events=events)
    found = moments(feed)
    assert [moment.step for moment in found] == [300, 500, 800]
    assert found[0].words == "stage 1, scale 0.8"
    assert found[1].words == "new best: exact 10.0 % (best trivial 2.0 %)"
    assert "\x1b" not in found[2].words and "plateau" in found[2].words
    assert next_moment(found, None, 1) is found[0] and next_moment(found, None, -1) is found[2]
    assert next_moment(found, 500, 1) is found[2] and next_moment(found, 500, -1) is found[0]
    assert next_moment(found, 800, 1) is None


def test_what_is_kept_comes_back_and_nonsense_does_not():
    look = Look(x_kind="time", log_y=True, smoothing=0.9, span=5.0, cursor=3.0)
    again, names, overlay = look_of(view_of(look, ("loss",), False))
    assert again == Look(x_kind="time", log_y=True, smoothing=0.9) and names == ("loss",) and not overlay
    nonsense = {"axis": "\x1b", "smoothing": "0.9", "charts": [1, "loss"], "overlay": "no", "log": 1}
    assert look_of(nonsense) == (Look(), ("loss",), True)
    assert look_of({"smoothing": [], "axis": []}) == (Look(), None, True)
