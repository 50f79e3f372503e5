"""Alarms beside their thresholds, and the sentence about the constant predictor beside ARC-AGI-1's own numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hrm_core.data.dataset import load_dataset
from hrm_core.evaluation.alarms import find_alarms, percent
from hrm_core.evaluation.evaluate import evaluate
from hrm_core.evaluation.metrics import METRICS
from hrm_core.model.types import Identity, SegmentsOutput
from hrm_core.recipe.lay import build_recipe

RECIPE = build_recipe("EXP-00", ["training.max_steps=1000"]).recipe


def row(step: int = 500, **changes: Any) -> dict[str, Any]:
    """A healthy row of a run of 1000 steps; `color`: colour accuracy, beside 0.5 for copying the input."""
    metrics = dict.fromkeys(METRICS, 0.6) | {"color_accuracy": changes.pop("color", 0.6)}
    trivial = {name: {"pad": 0.0, "black": 0.3, "frequent": 0.3, "copy": 0.5} for name in METRICS}
    healthy = {
        "step": step, "kind": "full", "split": "val", "pairs": 84, "oversize": 1, "loss": 1.0,
        "metrics": metrics, "trivial": trivial, "lift": {"color_accuracy": metrics["color_accuracy"] - 0.5},
        "constant_share": 0.1, "input_sensitivity": 0.9, "identity_sensitivity": 0.9, "input_gain": 0.2,
        "identity_gain": 0.2, "score": metrics["exact"], "halting": {"histogram": [40, 44], "never": 0.0},
    }  # fmt: skip
    return healthy | changes


def names(now: dict[str, Any], *previous: dict[str, Any]) -> list[str]:
    return [alarm["name"] for alarm in find_alarms(now, previous, RECIPE, 1000)]


def test_percent() -> None:
    assert [percent(share) for share in (0.7117, 1.0, 0.0, 0.9996, 0.055)] == [
        "71.2 %",
        "100 %",
        "0 %",
        "100 %",
        "5.5 %",
    ]


def test_healthy_rows_raise_nothing() -> None:
    assert names(row(), row(480)) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"constant_share": 0.9}, "constant_output"),
        ({"input_sensitivity": 0.09}, "input_blind"),
        ({"identity_sensitivity": 0.09}, "identity_blind"),
    ],
)
def test_raised_from_the_first_validation_and_said_to_be_early(changes: dict[str, float], name: str) -> None:
    early = find_alarms(row(20, **changes), [], RECIPE, 1000)
    assert [alarm["name"] for alarm in early] == [name]
    assert early[0]["sentence"].endswith("(warming up: 2 % of the run done).")
    later = find_alarms(row(100, **changes), [], RECIPE, 1000)
    assert "warming up" not in later[0]["sentence"]
    assert all(set(alarm) == {"name", "sentence", "advice", "numbers"} for alarm in later)


def test_at_the_threshold() -> None:
    assert names(row(constant_share=0.899)) == names(row(input_sensitivity=0.1)) == []
    assert names(row(input_sensitivity=None, identity_sensitivity=None, constant_share=None)) == []
    assert names(row(constant_share=1.0, pairs=1)) == []  # one prediction is always the commonest


def test_below_trivial_takes_two_validations_running_after_warm_up() -> None:
    low = {"color": 0.4}
    assert names(row(500, **low), row(480, **low)) == ["below_trivial"]
    assert names(row(500, **low), row(480)) == []
    assert names(row(500, **low), row(480, **low), row(490)) == []
    assert names(row(500, **low)) == []
    assert names(row(100, **low), row(80, **low)) == []
    (alarm,) = find_alarms(row(500, **low), [row(480, **low)], RECIPE, 1000)
    assert alarm["sentence"] == (
        "Colour accuracy 40 % is 10.0 points below copying the input (50 %), at two validations running."
    )


def test_diverging_is_measured_against_the_lowest_of_its_kind() -> None:
    assert names(row(500, loss=3.1), row(300), row(400, loss=2.0)) == ["diverging"]
    assert names(row(500, loss=3.0), row(300)) == ["overfitting"]  # at the threshold, not above it
    assert names(row(50, loss=30.0), row(40)) == []
    assert names(row(500, loss=9.0), row(300, kind="fast")) == []
    assert names(row(500, loss=None), row(300)) == ["diverging"]
    assert names(row(20, loss=None, pairs=3, oversize=3)) == []  # no target fits: there is no loss
    (alarm,) = find_alarms(row(500, loss=4.0), [row(300)], RECIPE, 1000)
    assert alarm["sentence"] == "Validation loss 4 is 4.0 times its lowest, 1 at step 300."


def test_advice_names_what_the_recipe_does_wrong() -> None:
    plateau = build_recipe("plateau-71").recipe
    (alarm,) = find_alarms(row(input_sensitivity=0.0), [], plateau, 300)
    for remedy in (
        "model.inject_input=true",
        "identity.kind=shared",
        "loss.include_pad=false",
        "evaluation.score=exact",
    ):
        assert remedy in alarm["advice"]
    (alarm,) = find_alarms(row(input_sensitivity=0.0), [], RECIPE, 1000)
    assert "inject_input" not in alarm["advice"] and "optimizer.lr" in alarm["advice"]


def says_pad(tokens: Tensor, identity: Identity, side: int, labels: Any, every_segment: bool) -> SegmentsOutput:
    assert side == 30
    empty = torch.zeros_like(tokens, dtype=torch.int64)
    num = len(tokens)
    every = empty[None].expand(2, -1, -1) if every_segment else None
    return SegmentsOutput(empty, torch.zeros(num, 2), torch.zeros(num), torch.ones(num), every)


def test_the_plateau_is_seen_at_its_first_validation(arc1_file: Path) -> None:
    recipe = build_recipe("plateau-71", ["data.validate_limit=419"]).recipe
    dataset = load_dataset(arc1_file, recipe.data)
    whole = evaluate(says_pad, dataset, recipe, "eval", "full", 6, "raw", max_steps=300).row
    assert percent(whole["score"]) == percent(whole["trivial"]["padded_accuracy"]["pad"]) == "71.2 %"
    assert percent(whole["trivial"]["padded_accuracy"]["copy"]) == "87.4 %"
    assert whole["alarms"][0]["sentence"] == (
        "One and the same grid for 100 % of 419 inputs; padded accuracy 71.2 % is what predicting PAD everywhere gets "
        "(71.2 %) (warming up: 2 % of the run done)."
    )
    recipe = build_recipe("plateau-71").recipe
    for kind, pairs in (("full", 84), ("fast", 21)):
        limited = evaluate(says_pad, dataset, recipe, "eval", kind, 60, "raw", max_steps=300).row
        assert (limited["pairs"], limited["alarms"][0]["name"]) == (pairs, "constant_output")
        assert limited["notes"][-1] == f"{pairs} fixed tests of 419 in eval"
        assert any(note.startswith("selected on eval") for note in limited["notes"])


def test_val_of_arc1_has_the_known_shares(arc1_file: Path) -> None:
    recipe = build_recipe("EXP-00", ["data.canvases=30"]).recipe
    dataset = load_dataset(arc1_file, recipe.data)
    measured = evaluate(says_pad, dataset, recipe, "val", "fast", 6, "raw", max_steps=300).row
    assert measured["pairs"] == 104  # a quarter of 416
    full = evaluate(says_pad, dataset, recipe, "val", "full", 6, "raw", max_steps=300).row
    assert (full["pairs"], full["tasks"], full["without_duplicates"]["pairs"]) == (416, 400, 409)
    assert percent(full["trivial"]["padded_accuracy"]["pad"]) == "82.7 %"
