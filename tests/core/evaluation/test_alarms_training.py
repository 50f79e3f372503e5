"""Alarms about the course of training, each on both sides of its threshold, and what each says."""

from __future__ import annotations

from typing import Any

import pytest

from hrm_core.evaluation.alarms import find_alarms
from hrm_core.evaluation.metrics import METRICS
from hrm_core.evaluation.remedies import REMEDIES, named, remedies
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.lay import build_recipe

RECIPE = build_recipe("EXP-00", ["training.max_steps=1000"]).recipe


def row(step: int, **changes: Any) -> dict[str, Any]:
    metrics = dict.fromkeys(METRICS, 0.6)
    healthy = {
        "step": step, "kind": "full", "split": "val", "pairs": 100, "oversize": 0, "loss": 1.0, "metrics": metrics,
        "trivial": {name: {"pad": 0.0, "black": 0.3, "frequent": 0.3, "copy": 0.5} for name in METRICS},
        "lift": {"color_accuracy": 0.1}, "constant_share": 0.1, "input_sensitivity": 0.9, "identity_sensitivity": 0.9,
        "input_gain": 0.2, "identity_gain": 0.2, "score": 0.6, "halting": {"histogram": [30, 30, 30], "never": 0.1},
    }  # fmt: skip
    return healthy | changes


def alarms(now: dict[str, Any], *previous: dict[str, Any], recipe: Any = RECIPE) -> list[dict[str, Any]]:
    return find_alarms(now, previous, recipe, 1000)


def names(now: dict[str, Any], *previous: dict[str, Any]) -> list[str]:
    return [alarm["name"] for alarm in alarms(now, *previous)]


def halts(*histogram: int) -> dict[str, Any]:
    return {"histogram": list(histogram), "never": 1 - sum(histogram) / 100}


def test_halting_in_one_segment_is_a_collapse_and_never_halting_is_none() -> None:
    assert names(row(500, halting=halts(0, 95, 3))) == ["halting_collapsed"]
    assert names(row(500, halting=halts(0, 94, 6))) == []
    assert names(row(500, halting=halts(0, 0, 0))) == []
    assert names(row(500, halting=halts(100))) == []  # one segment: there is nothing to choose
    assert names(row(99, halting=halts(0, 95, 3))) == []
    (alarm,) = alarms(row(100, halting=halts(0, 95, 3)))
    assert alarm["sentence"] == (
        "95 % of 100 samples would halt in segment 2 of 3 (alarm from 95 %), where 60 % are exact."
    )
    assert "EXP-05" in alarm["advice"]


def test_a_rise_of_both_losses_is_divergence_and_names_lion() -> None:
    """A swap to Lion at AdamW's rate: the training loss doubles with the validation loss."""
    then, now = row(300, train_loss=0.5), row(500, loss=1.6, train_loss=1.2)
    (alarm,) = alarms(now, then)
    assert alarm["name"] == "diverging"
    assert alarm["sentence"].endswith("and the training loss has risen with it, 0.5 to 1.2.")
    assert alarm["advice"].startswith("Try a lower optimizer.lr")
    lion = build_recipe("EXP-10", ["training.max_steps=1000"]).recipe
    assert "lr_factor=0.2" in alarms(now, then, recipe=lion)[0]["advice"]
    scaled = build_recipe("EXP-10b", ["training.max_steps=1000"]).recipe
    assert "lr_factor" not in alarms(now, then, recipe=scaled)[0]["advice"]
    assert names(row(500, loss=1.6, train_loss=0.3), then) == ["overfitting"]
    assert names(row(500, loss=1.6, train_loss=0.55), then) == ["overfitting"]


def test_overfitting_is_a_rise_from_the_lowest_until_it_is_divergence() -> None:
    assert names(row(500, loss=1.31), row(300)) == ["overfitting"]
    assert names(row(500, loss=1.3), row(300)) == []
    assert names(row(500, loss=3.5), row(300)) == ["diverging"]
    assert names(row(99, loss=2.0), row(40)) == []
    assert names(row(500, loss=1.5), row(300, kind="fast"), row(300, split="eval"), row(400, loss=None)) == []
    (alarm,) = alarms(row(500, loss=1.5), row(300), row(400, loss=1.2))
    assert alarm["sentence"] == ("Validation loss 1.5 is 50 % above its lowest, 1 at step 300 (alarm above 30 %).")
    assert "EXP-03" in alarm["advice"]


def scores(*values: float) -> list[dict[str, Any]]:
    return [row(200 + 100 * number, score=value) for number, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        ((0.6, 0.6, 0.6, 0.6, 0.6), True),
        ((0.6, 0.6, 0.6, 0.6), False),  # too few
        ((0.6, 0.5, 0.604, 0.5, 0.6), True),  # 0.4 points are none
        ((0.6, 0.5, 0.605, 0.5, 0.6), False),
        ((0.0, 0.0, 0.0, 0.0, 0.0), True),
        ((1.0, 1.0, 1.0, 1.0, 1.0), False),  # nothing is left to gain
        ((0.1, 0.6, 0.6, 0.6, 0.6), False),
    ],
)
def test_plateau_is_so_many_full_validations_without_gain(values: tuple[float, ...], flat: bool) -> None:
    *previous, now = scores(*values)
    assert names(now, *previous) == (["plateau"] if flat else [])


def test_a_plateau_counts_full_validations_after_the_warm_up() -> None:
    *previous, now = scores(0.6, 0.6, 0.6, 0.6, 0.6)
    assert names(now | {"kind": "fast"}, *previous) == []
    assert names(now, *(other | {"kind": "fast"} for other in previous)) == []
    early = [other | {"step": 20 * number} for number, other in enumerate(previous)]
    assert names(now, *early) == []
    (alarm,) = alarms(now, *previous)
    assert alarm["sentence"] == (
        "The score (exact) has gained +0.00 points over the 60 % of step 200 in 4 full validations "
        "(a plateau below +0.50)."
    )
    assert "hrm diagnose" in alarm["advice"] and "EXP-02" in alarm["advice"]


def test_every_finding_has_a_remedy_that_is_an_experiment() -> None:
    for finding in REMEDIES:
        found = remedies(finding)
        assert (found or finding == "diverging") and set(found) <= set(EXPERIMENTS)
        assert {name[:6] for name in REMEDIES[finding]} - {"strong", "demo"} <= {name[:6] for name in EXPERIMENTS}
    assert named(()) == ""
    assert named(("EXP-02",)) == "EXP-02 (Weight averaging over a cyclic tail)"
    assert named(("EXP-02", "EXP-09")).endswith(" or EXP-09 (Replay of hard samples)")
