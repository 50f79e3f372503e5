"""What is kept of an evaluation beside the grids it was made from."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hrm_core.evaluation.evaluate import evaluate
from hrm_core.evaluation.predictions import grid_rows, task_records
from hrm_core.model.types import Identity, SegmentsOutput
from hrm_core.recipe.lay import build_recipe

DEMONSTRATIONS = [([[1, 0], [0, 1]], [[2, 2]]), ([[5, 5, 0]], [[3]])]
TESTS = [([[1, 0], [0, 7]], [[2, 7]]), ([[4]], [[9]])]
TASKS = [("first", DEMONSTRATIONS, TESTS), ("second", DEMONSTRATIONS[:1], TESTS[:1]), ("third", TESTS, DEMONSTRATIONS)]


def copies(tokens: Tensor, identity: Identity, side: int, labels: Any, every_segment: bool) -> SegmentsOutput:
    """Copies the input at the last of two segments, black before it."""
    num = len(tokens)
    logits = torch.tensor([[-0.5, 1.23456]]).repeat(num, 1)
    every = torch.stack([torch.full_like(tokens, 2), tokens]).long() if every_segment else None
    return SegmentsOutput(tokens.long(), logits, torch.sigmoid(logits[:, 1]), torch.full((num,), 0.7), every)


def records(make, *overrides: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    recipe = build_recipe("EXP-00", overrides).recipe
    dataset = make(TASKS, canvases=[10])
    kept = evaluate(copies, dataset, recipe, "val", "full", 5, "ema").predictions
    tasks = task_records(dataset, "val")
    return json.loads(json.dumps(kept)), json.loads(json.dumps(tasks))


def test_grids_are_strings_of_digits() -> None:
    assert grid_rows(np.array([[0, 3], [9, 1]], np.uint8)) == ["03", "91"]
    assert grid_rows(np.zeros((0, 0), np.uint8)) == []


def test_a_record_holds_what_a_screen_draws(make) -> None:
    kept, _ = records(make)
    assert sorted((record["task"], record["test"]) for record in kept) == [("first", 0), ("first", 1), ("second", 0)]
    record = next(record for record in kept if (record["task"], record["test"]) == ("first", 0))
    assert record["input"] == record["predicted"] == ["10", "07"]
    assert record["target"] == ["27"]
    assert (record["side"], record["split"], record["fits"], record["exact"]) == (10, "val", True, False)
    assert (record["loss"], record["halt_logit"], record["rank"]) == (0.7, [-0.5, 1.2346], None)
    assert record["answers"] == [{"grid": ["10", "07"], "votes": 8, "confidence": record["confidence"]}]
    assert record["segments"] == [["0" * 10] * 10, ["10", "07"]]


def test_only_some_pairs_keep_every_segment(make) -> None:
    kept, _ = records(make, "evaluation.segment_grids=1")
    assert sum("segments" in record for record in kept) == 1
    assert sum("segments" in record for record in records(make, "evaluation.segment_grids=0")[0]) == 0


def test_tasks_show_demonstrations_and_test_inputs_but_no_test_output(make) -> None:
    _, tasks = records(make)
    assert [task["task"] for task in tasks] == ["first", "second"]
    first = tasks[0]
    assert [pair["target"] for pair in first["demonstrations"]] == [["22"], ["3"]]
    assert first["demonstrations"][1]["input_objects"] == [[5, 0, 0, 1, 2, 2]]
    assert first["demonstrations"][0]["input_objects"] == [[1, 0, 0, 2, 2, 2]]  # corners touch
    assert [pair["input"] for pair in first["tests"]] == [["10", "07"], ["4"]]
    assert all("target" not in pair for pair in first["tests"])
    assert sorted(first["colors"]) == list(range(10)) and first["canvas"] == 10
    assert (first["source"], first["evaluation"]) == ("made", False)
    assert first["families"] and "symmetry" in first["descriptors"]


def test_trained_on_tests_are_no_demonstrations(make) -> None:
    dataset = make(TASKS, canvases=[10], train_on_val_tests=True)
    (third,) = task_records(dataset, "eval")
    assert (third["task"], len(third["demonstrations"]), len(third["tests"])) == ("third", 2, 2)
