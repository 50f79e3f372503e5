"""Spans against arithmetic done by hand: shares round to the nearest step, steps stay, time is for later."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm_core.recipe.spans import Hours, parse_time, resolve_span, resolve_steps


@pytest.mark.parametrize(
    ("span", "max_steps", "steps"),
    [
        (0.02, 100_000, 2_000),
        (0.02, 1_000, 20),
        (0.02, 10, 1),
        (0.25, 10, 3),
        (1.0, 7, 7),
        (5, 3, 5),
        (0, 9, 0),
        (0.0, 9, 0),
    ],
)
def test_shares_and_steps(span: float, max_steps: int, steps: int) -> None:
    assert resolve_span(span, max_steps) == steps


def test_a_period_has_at_least_two_steps() -> None:
    assert resolve_span(0.04, 10, minimum=2) == 2
    assert resolve_span(1, 10, minimum=2) == 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("6h", 21_600), ("20min", 1_200), ("45s", 45), ("1h30min", 5_400), ("0.5h", 1_800)]
)
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text).seconds == pytest.approx(seconds)
    assert resolve_span(text, 100) == parse_time(text)


@pytest.mark.parametrize("text", ["", "h", "6", "6 hours", "-1h", "0h", "20min1h", "1e3h", "20000h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_time_becomes_steps_by_the_measured_speed() -> None:
    assert resolve_steps("20min", 1, seconds_per_step=0.5) == 2_400
    assert resolve_steps("1s", 1, seconds_per_step=10.0) == 1
    assert resolve_steps(0.1, 500, seconds_per_step=10.0) == 50
    assert Hours(0.5).seconds == 1_800


@settings(deadline=None)
@given(st.floats(1e-9, 1.0), st.integers(1, 10**7))
def test_a_share_is_within_the_run_and_off_by_half_a_step_at_most(share: float, max_steps: int) -> None:
    steps = resolve_span(share, max_steps)
    assert isinstance(steps, int)
    assert 1 <= steps <= max_steps
    assert steps == 1 or abs(steps - share * max_steps) <= 0.5 + 1e-9
