"""Throttle reasons in words, and the alarm `throttled` against what a trainer would have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hrm_core.runs.reader import read_run
from hrm_core.runs.throttling import (
    HOT_C,
    HOT_WORDS,
    REASONS,
    WINDOW_S,
    ThrottleWindow,
    slowed_by_heat,
    slower_while_hot,
    throttle_words,
)
from hrm_core.runs.writer import RunWriter


def test_every_bit_has_its_word_and_unknown_ones_none() -> None:
    assert throttle_words(0) == ()
    assert throttle_words(0x4 | 0x20) == ("power cap", "heat (driver)")
    assert throttle_words(0xFFFF_FFFF) == tuple(word for _, word in REASONS)
    assert {word for _, word in REASONS} > HOT_WORDS
    assert "power cap" not in HOT_WORDS and "idle" not in HOT_WORDS


def test_the_window_forgets_and_counts_only_heat_and_power() -> None:
    window = ThrottleWindow()
    assert window.share is None and window.span_s == 0.0
    for second in range(0, 100, 10):
        window.add(float(second), ("power cap",))
    assert window.share == 0.0 and window.span_s == 90.0
    for second in range(100, 200, 10):
        window.add(float(second), ("power cap", "heat (driver)"))
    assert window.share == 0.5
    window.add(190.0 + WINDOW_S, ("power brake",))
    assert window.share == 1.0 and window.span_s == WINDOW_S


HOT: dict[str, Any] = {
    "throttle": ["power cap", "heat (hardware)"],
    "throttled_share": 0.8,
    "throttled_s": 240.0,
    "temperature_c": 91.0,
    "clock_mhz": 660.0,
}


def test_the_sentence_names_reason_share_temperature_and_clock() -> None:
    assert slowed_by_heat(HOT) == (
        "The GPU was slowed by heat (hardware) for 80 % of the last 240 s (limit 50 %), now at 91 °C and 660 MHz."
    )
    assert "heat or power" in slowed_by_heat(HOT | {"throttle": []})


@pytest.mark.parametrize(
    "change",
    [
        {"throttled_share": 0.49},
        {"throttled_share": None},
        {"throttled_s": 59.0},
        {"throttled_share": "0.9"},
        {"throttled_s": float("nan")},
    ],
)
def test_a_short_time_a_small_share_or_nonsense_is_no_alarm(change: dict[str, Any]) -> None:
    assert slowed_by_heat(HOT | change) == ""


def test_words_that_are_no_list_of_words_do_no_harm() -> None:
    for strange in (5, "heat (driver)", [None, 3, {}], {"a": 1}):
        assert "heat or power" in slowed_by_heat(HOT | {"throttle": strange})


def speeds(*values: float) -> list[dict[str, Any]]:
    return [{"step": step, "tokens_per_sec": value} for step, value in enumerate(values, 1)]


def test_a_quarter_slower_than_usual_while_hot_is_an_alarm_and_cool_or_steady_is_none() -> None:
    fallen = speeds(*[100_000.0] * 40, *[70_000.0] * 5)
    sentence = slower_while_hot({"temperature_c": HOT_C}, fallen)
    assert sentence == (
        "At 83 °C it does 70,000 tokens/s, 30 % less than this run's usual 100,000 (limit 25 % at 83 °C or more)."
    )
    assert slower_while_hot({"temperature_c": HOT_C - 1}, fallen) == ""
    assert slower_while_hot({"temperature_c": None}, fallen) == ""
    assert slower_while_hot({"temperature_c": HOT_C}, speeds(*[100_000.0] * 40, *[76_000.0] * 5)) == ""
    assert slower_while_hot({"temperature_c": HOT_C}, speeds(*[100_000.0] * 15, *[1.0] * 5)) == ""
    assert slower_while_hot({"temperature_c": HOT_C}, [{"step": 1, "tokens_per_sec": "x"}] * 50) == ""


def names(folder: Path) -> list[str]:
    return [str(alarm["name"]) for alarm in read_run(folder).alarms]


def test_the_reader_raises_it_for_a_running_run_only(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with RunWriter.create(folder, "", {}) as run:
        run.status({"state": "running", **HOT})
        assert names(folder) == ["throttled"]
        alarm = read_run(folder).alarms[0]
        assert "80 %" in alarm["sentence"] and "power cap" in alarm["advice"]
        run.status({"state": "paused", **HOT})
        assert names(folder) == []
        run.status({"state": "running", **HOT, "throttle": ["power cap"], "throttled_share": 0.0})
        assert names(folder) == []


def test_the_reader_finds_a_fall_of_speed_in_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with RunWriter.create(folder, "", {}) as run:
        for row in speeds(*[100_000.0] * 40, *[60_000.0] * 5):
            run.metrics(row)
        run.status({"state": "running", "temperature_c": 70.0})
        assert names(folder) == []
        run.status({"state": "running", "temperature_c": 88.0})
        assert names(folder) == ["throttled"]
        assert "40 % less" in read_run(folder).alarms[0]["sentence"]
