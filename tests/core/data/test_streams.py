"""Admissions against what a stream must be: exact permutations, all pairs once a block, the same however dealt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hrm_core.data.dataset import load_dataset
from hrm_core.data.lanes import LanePairs
from hrm_core.data.streams import Admission, augmentation_of, choose, keyed_permutation, pool_size
from hrm_core.recipe.augment import AugmentConfig
from hrm_core.recipe.data import DataConfig
from triton_kernels.lay import lay

PLAIN = AugmentConfig(dihedral=False, color_probability=0.0, translate=0.0)


@pytest.fixture(scope="module")
def lanes(arc1_file: Path) -> dict[int, LanePairs]:
    return load_dataset(arc1_file, DataConfig()).train


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 31, 64, 100, 383, 1000])
@pytest.mark.parametrize("key", [0, 1, 2**32 - 1, 123456789])
def test_a_keyed_permutation_is_one(n: int, key: int) -> None:
    places = keyed_permutation(torch.arange(n), n, torch.full((n,), key))
    assert sorted(places.tolist()) == list(range(n))


def test_keyed_permutations_are_even_and_differ_between_keys() -> None:
    n, num_keys = 6, 6000
    position = torch.arange(n).repeat(num_keys)
    places = keyed_permutation(position, n, torch.arange(num_keys).repeat_interleave(n)).reshape(num_keys, n)
    for place in range(n):
        counts = torch.bincount(places[:, place], minlength=n).double()
        assert float(((counts - num_keys / n) ** 2 / (num_keys / n)).sum()) < 25  # 5 degrees of freedom
    assert len({tuple(row) for row in places.tolist()}) == 720, "every order of six things occurs"


def all_of(slots: int, times: int) -> tuple[Tensor, Tensor]:
    return torch.arange(slots).repeat(times), torch.arange(times).repeat_interleave(slots)


@pytest.mark.parametrize("num_slots", [1, 3, 64, 1000])
def test_every_block_of_entries_covers_all_pairs_once(lanes: dict[int, LanePairs], num_slots: int) -> None:
    lane = lanes[24]
    times = -(-3 * lane.num_pairs // num_slots)
    index = choose(lane, PLAIN, 7, 3, num_slots, *all_of(num_slots, times)).index
    blocks = index[: 3 * lane.num_pairs].reshape(3, -1)  # entry k + n * S stands at place k + n * S here
    for block in blocks:
        assert sorted(block.tolist()) == list(range(lane.num_pairs))
    assert blocks[0].tolist() != blocks[1].tolist()


def assert_equal(one: Admission, other: Admission) -> None:
    for name in ("index", "task", "dihedral", "colors", "offset", "augmentation"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_a_slot_sees_the_same_however_slots_are_dealt(lanes: dict[int, LanePairs]) -> None:
    lane, augment = lanes[14], AugmentConfig()
    slots, admissions = torch.arange(40), torch.arange(40) * 7 % 5
    whole = choose(lane, augment, 3, 1, 40, slots, admissions)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    for part in order.split(11):
        some = choose(lane, augment, 3, 1, 40, slots[part], admissions[part])
        assert_equal(some, Admission(*(getattr(whole, name)[part] for name in Admission.__dataclass_fields__)))


def test_seeds_and_lanes_give_other_streams(lanes: dict[int, LanePairs]) -> None:
    base, *others = (
        choose(lanes[10], AugmentConfig(), seed, lane, 64, *all_of(64, 2)).index.tolist()
        for seed, lane in ((1, 0), (2, 0), (1, 1))
    )
    assert all(base != other for other in others)


def test_shares_of_augmentation(lanes: dict[int, LanePairs]) -> None:
    lane, times = lanes[10], 40
    chosen = choose(lane, AugmentConfig(), 1, 0, 500, *all_of(500, times))
    plain = torch.arange(10)
    assert torch.bincount(chosen.dihedral, minlength=8).min() > 500 * times / 8 * 0.9
    recolored = (chosen.colors != plain).any(dim=1).float().mean()
    assert abs(float(recolored) - 0.5) < 0.02
    assert torch.equal(chosen.colors[:, 0], torch.zeros_like(chosen.task)), "colour 0 keeps its name"
    assert torch.equal(chosen.colors.sort(dim=1).values, plain.expand(len(chosen.task), -1))
    as_published = chosen.augmentation == 0
    assert abs(float(as_published.float().mean()) * 300 - 1) < 0.5
    assert not chosen.dihedral[as_published].any() and torch.equal(chosen.colors[as_published][0], plain)
    room = lane.side - torch.maximum(lane.input_height, lane.target_height)[chosen.index]
    moved = (chosen.offset > 0).any(dim=1)[room > 3].float().mean()
    assert 0.55 < float(moved) < 0.7


def test_grids_stay_within_the_canvas_and_use_all_of_it(lanes: dict[int, LanePairs]) -> None:
    lane = lanes[10]
    chosen = choose(lane, AugmentConfig(translate=1.0), 5, 0, 500, *all_of(500, 20))
    transposed = (chosen.dihedral & 4) > 0
    sizes = lane.sizes[chosen.index]
    tall, wide = torch.maximum(sizes[:, 0], sizes[:, 2]), torch.maximum(sizes[:, 1], sizes[:, 3])
    height, width = torch.where(transposed, wide, tall), torch.where(transposed, tall, wide)
    end = chosen.offset + torch.stack([height, width], dim=1)
    assert int(chosen.offset.min()) == 0 and int(end.max()) == lane.side
    small = (height == 3) & (width == 3)
    assert set(chosen.offset[small][:, 0].tolist()) == set(range(8))


def test_an_augmentation_is_a_function_of_task_and_number_alone(lanes: dict[int, LanePairs]) -> None:
    augment, lane = AugmentConfig(pool=4), lanes[10]
    chosen = choose(lane, augment, 1, 0, 300, *all_of(300, 20))
    seen: dict[tuple[int, int], Any] = {}
    for task, number, dihedral, colors in zip(
        *(getattr(chosen, name).tolist() for name in ("task", "augmentation", "dihedral", "colors")), strict=True
    ):
        assert seen.setdefault((task, number), (dihedral, colors)) == (dihedral, colors)
    dihedral, colors = augmentation_of(augment, 1, chosen.task, chosen.augmentation)
    assert torch.equal(dihedral, chosen.dihedral) and torch.equal(colors, chosen.colors)
    assert set(chosen.augmentation.tolist()) == {0, 1, 2, 3}


def test_what_is_switched_off_stays_off(lanes: dict[int, LanePairs]) -> None:
    chosen = choose(lanes[10], PLAIN, 1, 0, 64, *all_of(64, 10))
    assert not chosen.dihedral.any() and not chosen.offset.any() and not chosen.augmentation.any()
    assert bool((chosen.colors == torch.arange(10)).all())
    assert (pool_size(PLAIN), pool_size(AugmentConfig(pool=9))) == (1, 9)


def test_where_takes_rows_of_one_or_the_other(lanes: dict[int, LanePairs]) -> None:
    one, other = (choose(lanes[10], AugmentConfig(), seed, 0, 8, *all_of(8, 1)) for seed in (1, 2))
    mask = torch.arange(8) % 2 == 0
    mixed = one.where(mask, other)
    assert torch.equal(mixed.colors[mask], one.colors[mask]) and torch.equal(mixed.colors[~mask], other.colors[~mask])
    assert torch.equal(mixed.index[~mask], other.index[~mask])


class NamesCalled(TorchDispatchMode):
    """Collects the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.__name__.split(".")[0])
        return func(*args, **(kwargs or {}))


def test_admission_never_waits_for_the_device_and_is_cheap(lanes: dict[int, LanePairs]) -> None:
    lane, sizes = lanes[18], lanes[18].sizes
    slots, admissions = all_of(64, 1)
    with NamesCalled() as called:
        chosen = choose(lane, AugmentConfig(), 1, 2, 64, slots, admissions)
        lay(lane.input, lane.target, sizes, chosen.index, chosen.dihedral, chosen.colors, chosen.offset)
    banned = {"_local_scalar_dense", "nonzero", "unique", "_unique2", "masked_select", "is_nonzero", "_to_copy_host"}
    assert not set(called.names) & banned
    assert len(called.names) < 700, "kernel launches of one lane's admission"


@pytest.mark.gpu
def test_admissions_on_a_gpu_are_those_of_the_cpu_and_can_be_captured(lanes: dict[int, LanePairs]) -> None:
    here, augment = lanes[14], AugmentConfig()
    there, sizes = here.to("cuda"), here.to("cuda").sizes
    slots, admissions = all_of(64, 1)
    slots_there, admissions_there = slots.cuda(), admissions.cuda()

    def admit() -> tuple[Admission, Tensor, Tensor]:
        chosen = choose(there, augment, 1, 2, 64, slots_there, admissions_there)
        return chosen, *lay(
            there.input, there.target, sizes, chosen.index, chosen.dihedral, chosen.colors, chosen.offset
        )

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        admit()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        chosen, tokens, labels = admit()
    for times in range(3):
        admissions_there.fill_(times)
        graph.replay()
        expected = choose(here, augment, 1, 2, 64, slots, torch.full_like(admissions, times))
        assert_equal(Admission(*(getattr(chosen, name).cpu() for name in Admission.__dataclass_fields__)), expected)
        laid = lay(
            here.input, here.target, here.sizes, expected.index, expected.dihedral, expected.colors, expected.offset
        )
        assert torch.equal(tokens.cpu(), laid[0]) and torch.equal(labels.cpu(), laid[1])
