"""Tests gained and lost beside a hand count."""

from __future__ import annotations

from hrm_core.evaluation.changes import changes


def records(**exact: bool) -> list[dict[str, object]]:
    return [{"task": name, "test": 0, "exact": right} for name, right in exact.items()]


def test_gained_and_lost() -> None:
    before = records(a=True, b=False, c=True, d=False, gone=True)
    now = records(a=True, b=True, c=False, d=False, new=True)
    assert changes(before, now) == {"lost": ["c:0"], "gained": ["b:0"]}
    assert changes(now, before) == {"lost": ["b:0"], "gained": ["c:0"]}


def test_without_a_validation_before_there_is_nothing_to_say() -> None:
    assert changes([], records(a=True)) == {"lost": None, "gained": None}
    assert changes(records(a=True), records(b=True)) == {"lost": None, "gained": None}
