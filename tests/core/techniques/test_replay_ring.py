"""EXP-09's buffer against plain lists: what stays, who is drawn how often, and the importance weights' formula."""

from __future__ import annotations

import pytest
import torch

from hrm_core.recipe.techniques import ReplayConfig
from hrm_core.techniques.replay import capacity, lane_capacity, replay_slots
from hrm_core.techniques.replay_ring import (
    NOTHING,
    Int,
    Real,
    Ring,
    draw_by_priority,
    draw_uniform,
    priorities,
    rank_within_task,
)
from triton_kernels.hashing import hash32

SIDE, POOL, TASKS = 5, 3, torch.tensor([0, 0, 0, 1, 1, 2])

Row = tuple[int, ...]


def by_hand(old: dict[Row, tuple[float, int]], new: list[tuple[Row, float, int]], oldest: int, task: int, limit: int):
    """Sample -> (loss, step): the rows of `old` and `new` that stay, hardest first."""
    whole = {**old, **{key: (loss, step) for key, loss, step in reversed(new)}}
    kept: dict[Row, tuple[float, int]] = {}
    of_task: dict[int, int] = {}
    for key, (loss, step) in sorted(whole.items(), key=lambda item: -item[1][0]):
        number = int(TASKS[key[0]])
        if loss > NOTHING and step >= oldest and len(kept) < limit and of_task.get(number, 0) < task:
            of_task[number] = of_task.get(number, 0) + 1
            kept[key] = (loss, step)
    return kept


def content(ring: Ring) -> dict[Row, tuple[float, int]]:
    rows = zip(ring.ints[: int(ring.count)].tolist(), ring.reals.tolist(), strict=False)
    return {tuple(ints[:4]): (reals[Real.LOSS], ints[Int.STEP]) for ints, reals in rows}


def insert(ring: Ring, new: list[tuple[Row, float, int]], oldest: int = 0, unseen: int = 0) -> None:
    """`unseen` samples more that have nothing to say, as slots at another segment have."""
    ints = torch.tensor([[*key, 2, step] for key, _, step in new] + [[0] * 6] * unseen)
    reals = torch.tensor([[loss, 0.5, 7.0] for _, loss, _ in new] + [[NOTHING, 0.0, 0.0]] * unseen).double()
    seen = torch.tensor([True] * len(new) + [False] * unseen)
    ring.insert(ints, reals, seen, torch.tensor(oldest))


def test_the_hardest_recent_stay_as_by_hand() -> None:
    """400 insertions of random samples, many of them the same; losses that repeat in no two rows."""
    ring, expected = Ring(12, TASKS, POOL, SIDE), {}
    ring.limit.fill_(9)
    ring.per_task.fill_(4)
    generator = torch.Generator().manual_seed(1)
    for step in range(400):
        draws = torch.randint(0, 1000, (4, 4), generator=generator).tolist()
        loss = (torch.rand(4, generator=generator) * 3).float().tolist()
        new = [((a % 6, b % POOL, c % 2, d % 2), one, step) for (a, b, c, d), one in zip(draws, loss, strict=True)]
        if step % 3 == 0:
            new[0] = (new[0][0], NOTHING, step)  # halted before the loss is taken
        insert(ring, new, oldest=step - 30, unseen=2)
        expected = by_hand(expected, new, step - 30, 4, 9)
        assert content(ring) == expected and list(content(ring)) == list(expected)
    assert len(expected) == 9


def test_a_row_that_is_no_longer_true_goes() -> None:
    ring = Ring(3, TASKS, POOL, SIDE)
    insert(ring, [((1, 0, 0, 0), 2.0, 0), ((4, 2, 1, 3), 1.0, 0)])
    insert(ring, [((1, 0, 0, 0), NOTHING, 0)])
    assert content(ring) == {(4, 2, 1, 3): (1.0, 0)}
    insert(ring, [((4, 2, 1, 3), 0.25, 5)], unseen=1)
    assert content(ring) == {(4, 2, 1, 3): (0.25, 5)}


def test_of_equal_losses_the_newer_stays() -> None:
    ring = Ring(1, TASKS, POOL, SIDE)
    insert(ring, [((0, 0, 0, 0), 1.0, 0)])
    insert(ring, [((1, 0, 0, 0), 1.0, 1)])
    assert list(content(ring)) == [(1, 0, 0, 0)]


def test_samples_have_different_keys() -> None:
    every = torch.cartesian_prod(*(torch.arange(n) for n in (6, POOL, SIDE, SIDE, 1, 1)))
    keys = Ring(1, TASKS, POOL, SIDE).key(every)
    assert len(set(keys.tolist())) == len(every) == 6 * POOL * SIDE * SIDE
    assert int(keys.min()) == 0


def test_rank_within_a_task() -> None:
    loss, task = torch.tensor([1.0, 3.0, 2.0, NOTHING, 0.0, 5.0]).double(), torch.tensor([7, 2, 7, 7, 2, 7])
    order, rank = rank_within_task(loss, task)
    assert dict(zip(order.tolist(), rank.tolist(), strict=True)) == {1: 0, 4: 1, 5: 0, 2: 1, 0: 2, 3: 3}


def filled(losses: list[float], size: int) -> Ring:
    ring = Ring(size, TASKS, POOL, SIDE)
    rows = torch.zeros(len(losses), 6, dtype=torch.int64)
    reals = torch.zeros(len(losses), 3, dtype=torch.float64)
    reals[:, Real.LOSS] = torch.tensor(losses)
    ring.put(rows, reals)
    return ring


def test_priorities_and_weights_are_those_of_the_paper() -> None:
    losses, alpha, beta = [4.0, 2.0, 1.0, 0.25, 0.0001], 0.6, 0.7
    ring = filled(losses, 8)
    wanted = torch.tensor(losses).double() ** alpha
    wanted /= wanted.sum()
    whole = priorities(ring.reals[:, Real.LOSS], alpha)
    assert whole[5:].tolist() == [0, 0, 0]
    torch.testing.assert_close(whole[:5].double() / whole.sum(), wanted, atol=2e-5, rtol=2e-3)
    numbers = torch.arange(40_000)
    words = hash32(3, 1, numbers), hash32(3, 2, numbers)
    place, weight = draw_by_priority(ring, *words, alpha, torch.tensor(beta))
    share = torch.bincount(place, minlength=8)[:5] / len(numbers)
    torch.testing.assert_close(share.double(), wanted, atol=0.01, rtol=0.0)
    formula = (1 / (5 * wanted)) ** beta
    torch.testing.assert_close(weight.double(), (formula / formula.max())[place], atol=1e-5, rtol=2e-3)


def test_solved_samples_alone_are_drawn_alike() -> None:
    ring = filled([0.0, 0.0, 0.0], 4)
    place, weight = draw_by_priority(ring, hash32(0, torch.arange(600)), hash32(1, torch.arange(600)), 0.6, ring.limit)
    assert set(place.tolist()) == {0, 1, 2}
    assert weight.tolist() == [1.0] * 600


def test_uniform_draws_reach_every_row_and_no_empty_one() -> None:
    ring = filled([3.0, 2.0, 1.0], 10)
    share = torch.bincount(draw_uniform(ring, hash32(5, torch.arange(30_000))), minlength=10) / 30_000
    torch.testing.assert_close(share[:3], torch.full((3,), 1 / 3), atol=0.01, rtol=0.0)
    assert share[3:].tolist() == [0.0] * 7


def test_a_smaller_ring_takes_the_hardest() -> None:
    rows, reals = torch.zeros(4, 6, dtype=torch.int64), torch.zeros(4, 3).double()
    reals[:, Real.LOSS] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    ring = Ring(2, TASKS, POOL, SIDE)
    ring.put(rows, reals)
    assert ring.reals[:, Real.LOSS].tolist() == [4.0, 3.0] and int(ring.count) == 2


def test_capacity_is_a_tenth_of_the_window() -> None:
    """834 steps x 384 slots / 4 segments / 10; the plan's 4,170 steps x 320 / 8 / 10 exceed its 10,000."""
    assert capacity(ReplayConfig(), 834, 384, 8) == 8006
    assert capacity(ReplayConfig(), 4170, 320, 16) == 10_000
    assert [lane_capacity(8006, slots, 384) for slots in (200, 183, 1)] == [4169, 3815, 20]
    assert lane_capacity(3, 1, 384) == 1


@pytest.mark.parametrize("slots", [[6], [1, 1, 1], [3, 7, 22], [40, 1, 1, 1, 1], [320]])
def test_share_and_cap_hold_over_all_lanes(slots: list[int]) -> None:
    total = sum(slots)
    dealt = replay_slots(ReplayConfig(), slots)
    assert sum(dealt) == min(round(0.2 * total), int(0.25 * total))
    assert all(abs(part - sum(dealt) * count / total) < 1 for part, count in zip(dealt, slots, strict=True))
    assert sum(replay_slots(ReplayConfig(share=1.0, cap=0.25), slots)) == int(0.25 * total)
