"""The averaged tail: its cycles, its mean against the mean of the captured weights, and whose weights are evaluated."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from technique_bench import STEPS, run_steps, tiny_parts
from technique_resume import assert_resumes, assert_same_state

from hrm_core.recipe.lay import build_recipe
from hrm_core.techniques.swa_tail import Tail, lay_tail
from hrm_core.training.checkpoint import load_snapshot, load_state, save_snapshot

TAIL = ("techniques.swa_tail.start=4", "techniques.swa_tail.period=4")


def test_the_triangle() -> None:
    tail = Tail(start=10, first_low=14, period=4)
    factors = [tail.factor(step, 0.5) for step in range(10, 20)]
    assert factors == [1.0, 1.0, 1.0, 0.75, 0.5, 0.75, 1.0, 0.75, 0.5, 0.75]
    assert [tail.factor(step, 0.0) for step in (9, 14, 15, 16)] == [1.0, 0.0, 0.5, 1.0]
    assert [step for step in range(30) if tail.is_low(step)] == [14, 18, 22, 26]


@pytest.mark.parametrize(("start", "period", "total"), [(500, 40, 1000), (400, 40, 1000), (7, 5, 31), (3, 2, 9)])
def test_the_last_step_is_a_low_point_and_the_first_cycle_begins_high(start: int, period: int, total: int) -> None:
    tail = lay_tail(start, period, total)
    assert tail.is_low(total - 1)
    lows = [step for step in range(total) if tail.is_low(step)]
    assert all(later - earlier == period for earlier, later in itertools.pairwise(lows))
    assert start + period // 2 - 1 <= lows[0] < start + period // 2 - 1 + period
    factors = [tail.factor(step, 0.5) for step in range(total)]
    assert set(factors[:start]) == {1.0}
    assert min(factors) == 0.5
    assert {step for step, factor in enumerate(factors) if factor == 0.5} == set(lows)
    assert max(abs(a - b) for a, b in itertools.pairwise(factors)) <= 0.5 / (period // 2) + 1e-12


def test_the_plans_tail_has_thirteen_captures_and_a_tail_shorter_than_a_cycle_has_one() -> None:
    tail = lay_tail(50_000, 4_000, 100_000)
    assert len([step for step in range(100_000) if tail.is_low(step)]) == 13
    short = lay_tail(98, 40, 100)
    assert [step for step in range(100) if short.is_low(step)] == [99]


def test_the_mean_is_that_of_the_low_points(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ("averaging.kind=none", *TAIL))
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    names: list[str] = []
    for step in range(STEPS):
        run_steps(parts, 1, start=step)
        names.append(parts.weights_name)
        if step + 1 in (8, 12, 16, 20):
            kept.append((parts.flat.values.clone(), parts.model.rows.table.clone()))
    assert names == ["raw"] * 7 + ["swa"] * 13
    raw = parts.flat.values.clone(), parts.model.rows.table.clone()
    with parts.evaluation_weights():
        for number, held in enumerate((parts.flat.values, parts.model.rows.table)):
            expected = torch.stack([pair[number] for pair in kept]).double().mean(0).float()
            torch.testing.assert_close(held, expected, rtol=1e-5, atol=1e-7)
    assert torch.equal(parts.flat.values, raw[0])
    assert torch.equal(parts.model.rows.table, raw[1])


def test_rows_stay_raw_where_they_are_not_averaged(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ("averaging.kind=none", "techniques.swa_tail.rows=false", *TAIL))
    run_steps(parts, 14)
    raw = parts.model.rows.table.clone()
    with parts.evaluation_weights():
        assert torch.equal(parts.model.rows.table, raw)
    assert "techniques.swa_tail.mean_1" not in parts.techniques.tensors()


def test_ema_before_the_first_capture_and_the_mean_after_it(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, TAIL)
    run_steps(parts, 7)
    raw, ema = parts.flat.values.clone(), parts.average.averages[0].clone()
    assert parts.weights_name == "ema"
    with parts.evaluation_weights():
        assert torch.equal(parts.flat.values, ema)
    run_steps(parts, 1, start=7)
    raw = parts.flat.values.clone()
    assert parts.weights_name == "swa"
    with parts.evaluation_weights():
        assert torch.equal(parts.flat.values, raw)  # one capture, of just these weights
    run_steps(parts, 1, start=8)
    now = parts.flat.values.clone()
    with parts.evaluation_weights():
        assert torch.equal(parts.flat.values, raw)
    assert torch.equal(parts.flat.values, now)


def test_it_tells_when_it_begins_and_first_captures(arc1_file: Path) -> None:
    events = run_steps(tiny_parts(arc1_file, TAIL), STEPS)
    assert [(event.name, dict(event.fields)) for event in events] == [
        ("swa_started", {"period": 4, "first_capture": 8}),
        ("swa_first_capture", {}),
    ]


@pytest.mark.parametrize("start", [4, 13])
def test_a_run_stopped_on_either_side_of_the_start_goes_on_the_same(
    start: int, arc1_file: Path, tmp_path: Path
) -> None:
    overrides = (f"techniques.swa_tail.start={start}", "techniques.swa_tail.period=4")
    parts = assert_resumes(arc1_file, tmp_path, overrides, stop=11, total=STEPS)
    assert parts.weights_name == "swa"


def test_going_back_to_before_the_tail_forgets_it(arc1_file: Path, tmp_path: Path) -> None:
    parts, other = tiny_parts(arc1_file, TAIL), tiny_parts(arc1_file, TAIL)
    run_steps(parts, 3)
    save_snapshot(tmp_path / "step-00000003", parts, ("task",), {"step": 3}, {"step": 3})
    run_steps(parts, 12, start=3)
    load_state(tmp_path / "step-00000003", parts)
    assert parts.weights_name == "ema"
    run_steps(parts, 12, start=3)
    run_steps(other, 15)
    assert_same_state(parts, other)


def test_a_longer_run_keeps_the_cycles_of_a_tail_that_has_begun(arc1_file: Path, tmp_path: Path) -> None:
    overrides = ("techniques.swa_tail.start=0.2", "techniques.swa_tail.period=0.2")
    parts = tiny_parts(arc1_file, overrides)
    run_steps(parts, 10)
    parts.techniques.timeline.set(40, None)
    run_steps(parts, 10, start=10)
    other = tiny_parts(arc1_file, overrides)
    run_steps(other, 20)
    assert_same_state(parts, other)


def test_a_snapshot_says_that_its_weights_are_the_mean(arc1_file: Path, tmp_path: Path) -> None:
    parts = tiny_parts(arc1_file, TAIL)
    run_steps(parts, 14)
    ids = tuple(f"task{number}" for number in range(parts.model.rows.table.shape[0] - 1))
    save_snapshot(tmp_path / "step-00000014", parts, ids, {"kind": "best", "step": 14})
    snapshot = load_snapshot(tmp_path / "step-00000014")
    assert snapshot.weights == "swa"
    with parts.evaluation_weights():
        assert torch.equal(snapshot.model.head, parts.model.head)


def test_the_recipes() -> None:
    plan, fallback = build_recipe("EXP-02", []).recipe, build_recipe("EXP-10d", []).recipe
    control = build_recipe("EXP-02c", []).recipe
    for recipe in (plan, fallback, control):
        assert (recipe.schedule.kind, recipe.averaging.kind) == ("constant", "none")
    assert plan.techniques.swa_tail is not None
    assert (plan.techniques.swa_tail.start, plan.techniques.swa_tail.period) == (0.5, 0.04)
    assert fallback.techniques.swa_tail is not None
    assert fallback.techniques.swa_tail.start == 0.4
    assert fallback.techniques.lion_swap is None
    assert control.techniques.swa_tail is None
