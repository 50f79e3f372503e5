"""Trivial predictors beside a count over laid labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hrm_core.evaluation.targets import as_published
from hrm_core.evaluation.trivial import lift, most_frequent_token, trivial_fields
from triton_kernels.lay import lay

PAIR = ([[1, 2]], [[3] * 9] * 9)


@pytest.mark.parametrize("include_pad", [True, False])
def test_commonest_token_is_that_of_the_laid_labels(make, include_pad: bool) -> None:
    few, many = ([[1]], [[4]]), ([[1]], [[0, 4, 4], [4, 4, 5]])
    for pairs in ([few, many], [PAIR], [(([[1]]), [[7] * 10] * 10)]):
        dataset = make([("a", pairs, [few])])
        labels = []
        for lane in dataset.train.values():
            view = as_published(lane)
            laid = lay(lane.input, lane.target, lane.sizes, view.index, view.dihedral, view.colors, view.offset)[1]
            labels.append(laid.flatten())
        counts = torch.bincount(torch.cat(labels), minlength=12)
        if not include_pad:
            counts[0] = 0
        assert most_frequent_token(dataset.train.values(), include_pad) == int(counts.argmax())


def test_black_without_training_pairs() -> None:
    assert most_frequent_token([], include_pad=False) == 2


def test_fields() -> None:
    inputs = np.array([[3, 1, 0, 0]], dtype=np.uint8)
    fields = {name: values.tolist() for name, values in trivial_fields(inputs, 7).items()}
    assert fields == {"pad": [[0] * 4], "black": [[2] * 4], "frequent": [[7] * 4], "copy": [[3, 1, 0, 0]]}


def test_lift_is_over_the_best_of_the_four() -> None:
    trivial = {"a": {"pad": 0.1, "copy": 0.4}, "b": {"pad": None, "copy": None}, "c": {"pad": 0.5, "copy": None}}
    lifts = lift({"a": 0.5, "b": None, "c": 0.4}, trivial)
    assert lifts["b"] is None
    assert (lifts["a"], lifts["c"]) == (pytest.approx(0.1), pytest.approx(-0.1))
