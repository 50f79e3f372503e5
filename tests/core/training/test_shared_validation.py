"""A piece of a validation by two ranks: what one says of it to the last bit, and what a rank without memory does."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from small_step import make_parts, recipe
from torch import Tensor

from hrm_core.model.inference import Predictor
from hrm_core.model.types import Identity, SegmentsOutput
from hrm_core.runs.world import World
from hrm_core.training.crew import Order
from hrm_core.training.shared_validation import SharedPredictor, sharing, together

SIDE, GRIDS = 5, 4


class Half:
    """One of two ranks that run one after the other, the follower first: what it gave is what rank 0 then finds."""

    def __init__(self, rank: int, inputs: list[Tensor], given: list[Tensor], out: list[bool]) -> None:
        self.world = World(rank, 2)
        self.inputs = iter(inputs)
        self.given = given
        self.out = out
        self.told: list[tuple[Order, dict[str, Any]]] = []

    def tell(self, order: Order, content: dict[str, Any] | None = None) -> None:
        self.told.append((order, content or {}))

    def spread(self, tensor: Tensor) -> None:
        tensor.copy_(next(self.inputs))

    def any(self, here: bool) -> bool:
        self.out.append(here)
        return any(self.out)

    def collect(self, mine: Tensor, rows: int) -> Tensor:
        padded = torch.cat([mine, mine.new_zeros(rows - len(mine), *mine.shape[1:])])
        if self.world.rank:
            self.given.append(padded)
            return padded
        return torch.cat([padded, self.given.pop(0)])


def piece(rows: int) -> list[Tensor]:
    """tokens, task, dihedral, colors, augmentation, labels."""
    draw = torch.Generator().manual_seed(rows)
    cells = [torch.randint(0, 12, (rows, SIDE * SIDE), generator=draw, dtype=torch.int32) for _ in range(2)]
    zeros = torch.zeros(rows, dtype=torch.int64)
    colors = torch.arange(10).expand(rows, -1).contiguous()
    return [cells[0], torch.arange(rows) % 3, zeros, colors, zeros.clone(), cells[1]]


def alone(predict: Predictor, inputs: list[Tensor], every: bool, labels: bool) -> list[SegmentsOutput]:
    """What one rank says, in pieces of `GRIDS`."""
    parts = [[tensor[start : start + GRIDS] for tensor in inputs] for start in range(0, len(inputs[0]), GRIDS)]
    return [predict(one[0], Identity(*one[1:5]), SIDE, one[5] if labels else None, every) for one in parts]


@pytest.mark.parametrize("rows", [3, 4, 5, 7, 8])
@pytest.mark.parametrize(("every", "labels"), [(False, True), (True, False)])
def test_two_ranks_say_what_one_says(rows: int, every: bool, labels: bool) -> None:
    predict, inputs = Predictor(make_parts(recipe()).model), piece(rows)
    given: list[Tensor] = []
    sent = inputs if labels else inputs[:5]
    about = {"rows": rows, "grids": GRIDS, "side": SIDE, "labels": labels, "every": every}
    leader = Half(0, sent, given, [])
    if rows > GRIDS:
        empty = [torch.zeros_like(tensor) for tensor in sent]
        assert together(Half(1, sent, given, []), predict, about, empty) is not None  # type: ignore[arg-type]
    shared = SharedPredictor(leader, predict, GRIDS)  # type: ignore[arg-type]
    found = shared(inputs[0], Identity(*inputs[1:5]), SIDE, inputs[5] if labels else None, every)
    assert leader.told == ([(Order.PREDICT, about)] if rows > GRIDS else []) and not given
    wanted = alone(predict, inputs, every, labels)
    for field in fields(SegmentsOutput):
        parts = [getattr(one, field.name) for one in wanted]
        mine = getattr(found, field.name)
        if parts[0] is None:
            assert mine is None
        else:
            assert torch.equal(mine, torch.cat(parts, dim=1 if field.name == "tokens_by_segment" else 0)), field.name


@pytest.mark.parametrize("short", [0, 1])
def test_a_rank_without_memory_is_no_memory_for_all_and_the_others_are_let_go(short: int) -> None:
    predict, inputs = Predictor(make_parts(recipe()).model), piece(8)

    def no_memory(*words: Any) -> SegmentsOutput:
        raise torch.OutOfMemoryError("CUDA out of memory")

    about = {"rows": 8, "grids": GRIDS, "side": SIDE, "labels": True, "every": False}
    given: list[Tensor] = []
    leader = Half(0, inputs, given, [short == 1])
    follower = Half(1, inputs, given, [short == 0])
    assert together(follower, no_memory if short == 1 else predict, about, inputs) is None  # type: ignore[arg-type]
    assert given == [], "nobody waits for answers that will not come"
    shared = SharedPredictor(leader, no_memory if short == 0 else predict, GRIDS)  # type: ignore[arg-type]
    with pytest.raises(torch.OutOfMemoryError), sharing(leader):  # type: ignore[arg-type]
        shared(inputs[0], Identity(*inputs[1:5]), SIDE, inputs[5], False)
    assert [order for order, _ in leader.told] == [Order.VALIDATE, Order.PREDICT, Order.PREDICTED]


def test_any_other_error_is_not_told_as_the_end_of_a_validation() -> None:
    leader = Half(0, [], [], [])
    with pytest.raises(RuntimeError, match="a fault"), sharing(leader):  # type: ignore[arg-type]
        raise RuntimeError("a fault")
    assert [order for order, _ in leader.told] == [Order.VALIDATE]
