"""Spikes of the loss, against the definition, and as events of a run without techniques."""

from __future__ import annotations

import json

from hrm_core.techniques.points import Techniques
from hrm_core.techniques.spikes import FEWEST_ROWS, WINDOW_ROWS, SpikeDetector


def spikes_of(losses: list[float | None], factor: float = 3.0) -> list[int]:
    detector = SpikeDetector(factor)
    return [place for place, loss in enumerate(losses) if detector.see(loss) is not None]


def test_a_spike_stands_out_from_the_median_before_it() -> None:
    assert spikes_of([1.0] * 10 + [3.1] + [1.0] * 5) == [10]
    assert spikes_of([1.0] * 10 + [2.9] + [1.0] * 5) == []
    assert spikes_of([1.0] * 10 + [2.9] + [1.0] * 5, factor=2.0) == [10]


def test_an_excursion_is_one_spike_and_the_next_another() -> None:
    assert spikes_of([1.0] * 10 + [4.0, 9.0, 4.0, 1.0, 1.0, 5.0]) == [10, 15]


def test_too_few_rows_and_rows_without_a_loss_say_nothing() -> None:
    assert spikes_of([1.0] * (FEWEST_ROWS - 1) + [50.0]) == []
    assert spikes_of([1.0] * 6 + [None, float("nan"), float("inf")] + [1.0]) == []


def test_only_the_last_rows_count() -> None:
    assert spikes_of([10.0] * 50 + [1.0] * (WINDOW_ROWS // 2 + 1) + [4.0]) == [50 + WINDOW_ROWS // 2 + 1]


def test_it_goes_on_where_it_was() -> None:
    detector, other = SpikeDetector(), SpikeDetector()
    for loss in (1.0, 1.1, 0.9, 1.0, 1.0, 5.0):
        detector.see(loss)
    other.recall(json.loads(json.dumps(detector.remember())))
    assert (other.recent, other.count, other.high) == (detector.recent, 1, True)
    assert other.see(5.0) is None


def test_every_run_has_the_event_and_the_counter() -> None:
    techniques = Techniques()
    rows = [{"step": number, "token_loss": loss} for number, loss in enumerate([1.0] * 8 + [6.0, 1.0])]
    events = [techniques.row(row) for row in rows]
    assert [[event.name for event in found] for found in events] == [[]] * 8 + [["loss_spike"], []]
    assert events[8][0].fields == {"token_loss": 6.0, "median": 1.0}
    assert [row["loss_spikes"] for row in rows] == [0] * 8 + [1, 1]
    assert [row["loss_spike"] for row in rows] == [False] * 8 + [True, False]
