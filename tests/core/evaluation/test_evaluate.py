"""The whole evaluation beside what is known of made-up predictors: one that knows the rule in every view, one that
copies, one that always says the same, one that only looks at the task's identity."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from hrm_core.data.derange import derange
from hrm_core.errors import UserError
from hrm_core.evaluation.evaluate import chosen_pairs, evaluate, num_predictions
from hrm_core.model.types import Identity, SegmentsOutput
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.records import decode_row, encode_row

SEGMENTS = 3


def output(tokens: Tensor, every_segment: bool = False, halt: float = -1.0, loss: float = 0.5) -> SegmentsOutput:
    """A prediction that is black until the last segment."""
    num = len(tokens)
    early = torch.full_like(tokens, 2)
    return SegmentsOutput(
        tokens=tokens.long(),
        halt_logit=torch.full((num, SEGMENTS), halt),
        confidence=torch.full((num,), 0.25),
        loss=torch.full((num,), loss),
        tokens_by_segment=torch.stack([early, early, tokens]).long() if every_segment else None,
    )


class KnowsTheRule:
    """Swaps colours 1 and 2 as the published grids have them: in a view with other colours it must be told which."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.identities: list[Identity] = []

    def __call__(self, tokens: Tensor, identity: Identity, side: int, labels: Any, every_segment: bool) -> Any:
        assert tokens.shape == labels.shape == (len(identity.task), side * side)
        self.rows.append(len(tokens))
        self.identities.append(identity)
        table = torch.arange(12).expand(len(tokens), -1).clone()
        one, two = identity.colors[:, 1:2] + 2, identity.colors[:, 2:3] + 2
        table.scatter_(1, one, two).scatter_(1, two, one)
        return output(table.gather(1, tokens.long()), every_segment)


def copies(tokens: Tensor, identity: Identity, side: int, labels: Any, every_segment: bool) -> SegmentsOutput:
    return output(tokens, every_segment)


def says_pad(tokens: Tensor, identity: Identity, side: int, labels: Any, every_segment: bool) -> SegmentsOutput:
    return output(torch.zeros_like(tokens), every_segment)


def sees_identity_only(tokens: Tensor, identity: Identity, side: int, labels: Any, every: bool) -> SegmentsOutput:
    field = torch.zeros_like(tokens)
    field[:, 0] = 2 + identity.task % 10
    return output(field, every)


def swapped(rows: list[list[int]]) -> list[list[int]]:
    return [[{1: 2, 2: 1}.get(cell, cell) for cell in row] for row in rows]


def made_tasks(count: int, seed: int = 0) -> list[Any]:
    """Tasks of 3 x 4 grids that swap colours 1 and 2; every third has two tests."""
    draw = random.Random(seed)

    def pair() -> Any:
        rows = [[1, 2, draw.randrange(10), draw.randrange(10)] for _ in range(3)]
        return rows, swapped(rows)

    return [(f"t{number}", [pair(), pair()], [pair() for _ in range(1 + (number % 3 == 0))]) for number in range(count)]


RECIPE = build_recipe("EXP-00", ["evaluation.batch=7", "evaluation.views=5", "evaluation.segment_grids=3"]).recipe


def test_a_predictor_that_knows_the_rule_is_right_in_every_view(make) -> None:
    predictor = KnowsTheRule()
    dataset = make(made_tasks(20))
    result = evaluate(predictor, dataset, RECIPE, "val", "full", 40, "ema", max_steps=100)
    row = result.row
    assert (row["pairs"], row["tasks"], row["oversize"]) == (14, 10, 0)
    assert set(row["metrics"].values()) == {1.0}
    assert row["lift"]["exact"] == 1.0
    assert row["trivial"]["changed_cell_accuracy"]["copy"] == row["trivial"]["exact"]["copy"] == 0.0
    assert (row["score"], row["loss"], row["best"], row["alarms"][0]["name"]) == (1.0, 0.5, False, "identity_blind")
    assert (row["input_sensitivity"], row["identity_sensitivity"], row["identity_gain"]) == (1.0, 0.0, 0.0)
    assert row["input_gain"] > 0.2
    assert row["calibration"] == {"ece": 0.75, "brier": 0.5625, "auroc": None, "base_rate": 1.0}
    assert row["halting"] == {"histogram": [0, 0, 0], "never": 1.0}
    assert row["families"]["same_size"]["pairs"] == 14
    assert row["families"]["same_size"]["trivial"] == row["trivial"]["exact"], "the family is all of them"
    assert row["plan_families"]["color-swap"] == row["families"]["color_map"]
    assert [record["answers"][0]["votes"] for record in result.predictions] == [5] * 14  # every view came back alike
    views = torch.cat([identity.augmentation for identity in predictor.identities])
    assert len(views.unique()) > 10  # and they were different views
    assert max(predictor.rows) == 7
    assert sum(predictor.rows) == num_predictions(dataset, RECIPE, "val", "full") == 14 * (5 + 2)


def test_rows_can_be_written_and_are_the_same_each_time(make) -> None:
    dataset = make(made_tasks(12))
    rows = []
    for _ in range(2):
        row = evaluate(copies, dataset, RECIPE, "eval", "full", 5, "raw").row
        read = decode_row(encode_row(row))
        assert read == json.loads(json.dumps(row))
        rows.append({name: value for name, value in row.items() if name not in ("time_utc", "elapsed_s")})
    assert rows[0] == rows[1]
    assert (rows[0]["weights"], rows[0]["split"], rows[0]["kind"], rows[0]["step"]) == ("raw", "eval", "full", 5)


def test_copying_is_no_better_than_copying(make) -> None:
    row = evaluate(copies, make(made_tasks(12)), RECIPE, "val", "full", 5, "ema").row
    assert row["metrics"] == {name: values["copy"] for name, values in row["trivial"].items()}
    assert max(row["lift"].values()) <= 0.0
    assert row["input_sensitivity"] == 1.0
    assert {alarm["name"] for alarm in row["alarms"]} == {"identity_blind"}


def test_without_an_identity_nothing_is_said_about_it(make) -> None:
    recipe = build_recipe("EXP-00", ["identity.kind=none"]).recipe
    row = evaluate(copies, make(made_tasks(12)), recipe, "val", "full", 5, "ema").row
    assert row["identity_sensitivity"] is row["identity_gain"] is None
    assert row["alarms"] == []


def test_a_predictor_that_ignores_its_input_is_told_so(make) -> None:
    dataset = make(made_tasks(12))
    row = evaluate(sees_identity_only, dataset, RECIPE, "val", "full", 90, "ema").row
    assert (row["input_sensitivity"], row["input_gain"], row["identity_sensitivity"]) == (0.0, 0.0, 1.0)
    assert [alarm["name"] for alarm in row["alarms"]] == ["input_blind"]
    names = [alarm["name"] for alarm in evaluate(says_pad, dataset, RECIPE, "val", "full", 1, "ema").row["alarms"]]
    assert names == ["constant_output", "input_blind", "identity_blind"]


def test_fast_is_a_fixed_part_in_one_view_without_swaps(make) -> None:
    dataset = make(made_tasks(120))  # 60 tasks, 80 tests in val
    predictor = KnowsTheRule()
    result = evaluate(predictor, dataset, RECIPE, "val", "fast", 5, "ema")
    row = result.row
    assert (row["pairs"], result.predictions, sum(predictor.rows)) == (20, [], 20)
    assert num_predictions(dataset, RECIPE, "val", "fast") == 20
    measured = ("input_sensitivity", "identity_sensitivity", "input_gain", "identity_gain")
    assert {row[name] for name in measured} == {None}
    assert row["metrics"]["pass_at_2"] is None and row["metrics"]["exact"] == 1.0
    assert "20 fixed tests of 80 in val" in row["notes"]
    again = chosen_pairs(dataset, RECIPE.model_copy(), "val", "fast")[0]
    other_seed = build_recipe("EXP-00", ["training.seed=9"]).recipe
    assert {side: lane.key.tolist() for side, lane in again.items()} == {
        side: lane.key.tolist() for side, lane in chosen_pairs(dataset, other_seed, "val", "fast")[0].items()
    }
    few = make(made_tasks(24))
    assert evaluate(copies, few, RECIPE, "val", "fast", 5, "ema").row["pairs"] == 16  # of 16


def test_limit_holds_for_the_split_that_is_validated_on(make) -> None:
    dataset = make(made_tasks(120))
    recipe = build_recipe("EXP-00", ["data.validate_on=eval", "data.validate_limit=24"]).recipe
    row = evaluate(copies, dataset, recipe, "eval", "full", 5, "ema").row
    assert row["pairs"] == 24
    assert any(note.startswith("selected on eval") for note in row["notes"])
    assert evaluate(copies, dataset, recipe, "val", "full", 5, "ema").row["pairs"] == 80
    assert evaluate(copies, dataset, recipe, "eval", "fast", 5, "ema").row["pairs"] == 16
    fast, full = (chosen_pairs(dataset, recipe, "eval", kind)[0] for kind in ("fast", "full"))
    assert {int(key) for lane in fast.values() for key in lane.key} <= {
        int(k) for lane in full.values() for k in lane.key
    }


def test_oversize_and_duplicates_are_counted_and_said(make) -> None:
    small = [([[1, 2]], [[2, 1]]), ([[1, 1]], [[2, 2]])]
    tasks = [
        ("big", small, [([[1, 2]], [[3] * 12] * 12)]),  # does not fit the canvas of 10 that is known to suffice
        ("same", small, [([[1, 2]], [[2, 1]])]),  # equals a demonstration
        ("new", small, [([[2, 1], [1, 0]], [[1, 2], [2, 0]])]),
    ]
    dataset = make([*tasks, *[(f"e{i}", small, [([[i, 1, 2]], [[i, 2, 1]])]) for i in range(3)]])
    result = evaluate(KnowsTheRule(), dataset, RECIPE, "val", "full", 5, "ema")
    row = result.row
    assert (row["pairs"], row["oversize"], row["without_duplicates"]["pairs"]) == (3, 1, 2)
    assert row["metrics"]["exact"] == pytest.approx(2 / 3)
    assert row["without_duplicates"]["exact"] == row["without_duplicates"]["pass_at_1"] == 0.5
    assert row["trivial"]["padded_accuracy"]["pad"] > 0.8 and row["metrics"]["padded_accuracy"] < 1
    assert "1 of 3 targets do not fit their canvas and count as wrong" in row["notes"]
    (big,) = [record for record in result.predictions if not record["fits"]]
    assert (big["task"], big["exact"], big["loss"], big["target"]) == ("big", False, None, ["3" * 12] * 12)


def test_one_view_where_nothing_varies(make) -> None:
    still = ["augment.dihedral=false", "augment.color_probability=0.0", "augment.translate=0.0"]
    recipe = build_recipe("EXP-00", still).recipe
    predictor = KnowsTheRule()
    result = evaluate(predictor, make(made_tasks(12)), recipe, "val", "full", 5, "ema")
    assert {record["answers"][0]["votes"] for record in result.predictions} == {1}
    assert result.row["metrics"]["pass_at_1"] == 1.0


def test_a_lane_of_one_task_has_no_partners(make) -> None:
    dataset = make(made_tasks(2))
    assert not derange(next(iter(dataset.val.values())))[1].any()
    row = evaluate(copies, dataset, RECIPE, "val", "full", 5, "ema").row
    assert row["input_sensitivity"] is None and row["alarms"] == []


def test_a_split_without_pairs_is_refused_with_the_remedy(make) -> None:
    dataset = make(made_tasks(4), train_on_val_tests=True)
    recipe = build_recipe("EXP-00", ["data.train_on_val_tests=true", "data.validate_on=eval"]).recipe
    with pytest.raises(UserError, match=r"train_on_val_tests trains on them.*use split eval"):
        evaluate(copies, dataset, recipe, "val", "full", 5, "ema")
    notes = evaluate(copies, dataset, recipe, "eval", "full", 5, "ema").row["notes"]
    assert any(note.startswith("no held-out set") for note in notes)


def test_weights_that_are_not_numbers_are_evaluated_and_told(make) -> None:
    def breaks(tokens: Tensor, identity: Identity, side: int, labels: Any, every_segment: bool) -> SegmentsOutput:
        nan = torch.full((len(tokens),), torch.nan)
        every = tokens.long()[None].expand(2, -1, -1) if every_segment else None
        return SegmentsOutput(tokens.long(), nan[:, None].expand(-1, 2), nan, nan, every)

    result = evaluate(breaks, make(made_tasks(12)), RECIPE, "val", "full", 5, "ema")
    row = decode_row(encode_row(result.row))
    assert row is not None and row["loss"] is None and row["calibration"]["brier"] == 0.0
    assert "diverging" in [alarm["name"] for alarm in row["alarms"]]
    assert result.predictions[0]["loss"] is None and result.predictions[0]["halt_logit"] == [None, None]


def halts_when_right(tokens: Tensor, identity: Identity, side: int, labels: Any, every: bool) -> SegmentsOutput:
    """Right in the second segment of three and wrong in the others; half of the rows would halt there."""
    black, right = torch.full_like(tokens, 2).long(), labels.long()
    halt = torch.full((len(tokens), SEGMENTS), -1.0)
    halt[::2, 1] = 1.0
    return SegmentsOutput(
        black, halt, torch.full((len(tokens),), 0.25), None, torch.stack([black, right, black]) if every else None
    )


def test_an_evaluation_may_halt(make) -> None:
    dataset = make(made_tasks(20))
    settings = ["evaluation.batch=1", "evaluation.views=1"]
    always = build_recipe("EXP-00", settings).recipe
    row = evaluate(halts_when_right, dataset, always, "val", "full", 5, "ema").row
    assert row["metrics"]["exact"] == 0.0
    saved = row["halting_analysis"]["saved"]
    assert (saved["exact"], saved["exact_without"], saved["share"]) == (1.0, 0.0, pytest.approx(1 / 3))
    assert row["halting_analysis"]["families"]["same_size"] == 2.0
    may = build_recipe("EXP-00", [*settings, "evaluation.may_halt=true"]).recipe
    for kind in ("full", "fast"):
        halted = evaluate(halts_when_right, dataset, may, "val", kind, 5, "ema").row
        assert halted["metrics"]["exact"] == 1.0
        assert halted["calibration"]["ece"] == pytest.approx(1 - 1 / (1 + 2.718281828**-1))
    assert halted["halting_analysis"] is None  # of the fast one
