"""The memory plan against what torch allocates in a step, within 10 %, and what a run is refused for.

On a CPU the allocations come from torch's profiler. Kernels are measured there too: their launchers run and allocate,
the kernels themselves are replaced by nothing, and what they would have computed is whatever lies in memory.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import triton_kernels.recurrent_attention.reference as attention_reference
from hrm_core.data.dataset import Dataset, load_dataset
from hrm_core.data.lanes import LanePairs
from hrm_core.errors import UserError
from hrm_core.recipe import memory as plans
from hrm_core.recipe import memory_bytes
from hrm_core.recipe.counts import laid_pairs
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.memory import GIB, Setting, plan_memory
from hrm_core.recipe.memory_bytes import Forms
from hrm_core.recipe.schema import Recipe
from hrm_core.runs.world import World
from hrm_core.training import memory
from hrm_core.training.crew import Crew
from hrm_core.training.memory_benchmark import MeasuredPeak, highest_total, measure_peak, pairs_bytes
from hrm_core.training.setup import Device, build_parts, choose_device
from triton_kernels import runtime
from triton_kernels.recurrent_attention import by_sample
from triton_kernels.recurrent_attention import launcher as attention_launcher
from triton_kernels.recurrent_attention.flash import launcher as flash_launcher
from triton_kernels.residual_norm import launcher as norm_launcher
from triton_kernels.stablemax_loss import launcher as loss_launcher
from triton_kernels.swiglu import launcher as mlp_launcher

TASKS = ("a", "b", "c", "d")
SMALL = ("model.hidden=128", "model.heads=2", "training.accumulation=1")
TINY = (*SMALL, "model.h_layers=1", "model.l_layers=1")


def lane_pairs(side: int, count: int) -> LanePairs:
    """Pairs that fill their canvas."""
    random = torch.Generator().manual_seed(side)
    grid = torch.randint(0, 10, (count, side, side), dtype=torch.uint8, generator=random)
    rows, sides = torch.arange(count), torch.full((count,), side)
    no = torch.zeros(count, dtype=torch.bool)
    return LanePairs(
        side, grid, grid.clone(), rows % 4, rows, sides, sides + 0, sides + 0, sides + 0, sides, rows * 0, no, ~no, rows
    )


def dataset(sides: tuple[int, ...]) -> Dataset:
    """All of a data set that a step uses."""
    train = {side: lane_pairs(side, 20 + side) for side in sides}
    return cast(Dataset, SimpleNamespace(train=train, tasks=SimpleNamespace(ids=TASKS)))


def recipe(sides: tuple[int, ...], *overrides: str) -> Recipe:
    return build_recipe("EXP-00", (f"data.canvases={list(sides)}", *overrides)).recipe


def measured(sides: tuple[int, ...], *overrides: str) -> MeasuredPeak:
    chosen = recipe(sides, *overrides)
    return measure_peak(chosen, dataset(sides), choose_device(chosen.training))


class ZeroProducts(TorchDispatchMode):
    """Products of matrices are zeros of the right size: a CPU without bf16 takes minutes to compute them, and all that
    torch allocates for one is its result, as the test below holds."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
            one, other = args
            return one.new_zeros((*one.shape[:-1], other.shape[-1]))
        return func(*args, **(kwargs or {}))


def products(dtype: str) -> AbstractContextManager[object]:
    """They are left out in bf16, and computed in fp32."""
    return ZeroProducts() if dtype == "bf16" else nullcontext()


def check(found: MeasuredPeak) -> None:
    words = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in found.plan.parts.items())
    assert abs(found.difference) < 0.1, f"{found.predicted / 1e6:.2f} for {found.measured / 1e6:.2f} MB: {words}"


# The plan against the allocator ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sides", "overrides"),
    [
        pytest.param((10,), (*SMALL, "training.batch=4", "training.dtype=bf16"), id="bf16"),
        pytest.param((10,), (*SMALL, "training.batch=4", "training.dtype=fp32"), id="fp32"),
        pytest.param((10,), ("training.batch=3", "training.accumulation=1"), id="hidden-256"),
        pytest.param(
            (10,), ("training.batch=2", "training.accumulation=1", "training.dtype=fp32"), id="hidden-256-fp32"
        ),
        pytest.param(
            (18,), (*TINY, "training.batch=3", "averaging.kind=none"), id="attention-by-sample-without-gradient"
        ),
        pytest.param(
            (10,), ("training.batch=3", "training.accumulation=1", "techniques.drop_path=on"), id="scaled-layers"
        ),
        pytest.param((24,), (*TINY, "training.batch=2", "training.dtype=bf16"), id="attention-by-sample"),
        pytest.param((24,), (*TINY, "training.batch=2", "training.dtype=fp32"), id="attention-by-sample-in-portions"),
        pytest.param(
            (7,),
            (*SMALL, "training.batch=8", "rows.kind=adam", "loss.kind=softmax", "identity.place=both"),
            id="as-demo",
        ),
        pytest.param(
            (7,),
            (*TINY, "training.batch=8", "model.gradient=last_recursion", "model.l_cycles=4", "training.dtype=bf16"),
            id="last-recursion",
        ),
        pytest.param(
            (7,),
            (
                *SMALL,
                "training.batch=8",
                "model.gradient=last_recursion",
                "model.share_levels=true",
                "model.h_cycles=3",
            ),
            id="shared-levels",
        ),
        pytest.param((10,), (*TINY, "training.batch=6", "halting.kind=q_learning"), id="bootstrap"),
        pytest.param((7,), (*SMALL, "training.batch=2", "optimizer.kind=muon"), id="muon"),
        pytest.param(
            (7,),
            (*TINY, "training.batch=4", "optimizer.kind=adam_atan2", "identity.kind=per_augmentation"),
            id="rows-for-augmentations",
        ),
        pytest.param(
            (5, 7, 10),
            ("model.hidden=128", "model.heads=4", "model.h_layers=1", "training.batch=2", "training.accumulation=4"),
            id="lanes",
        ),
        pytest.param(
            (5,), (*TINY[:2], *TINY[3:], "training.batch=1", "training.accumulation=24"), id="slots-above-all"
        ),
        pytest.param(
            (10,),
            (*TINY, "training.batch=6", "identity.kind=none", "model.inject_input=false", "averaging.kind=none"),
            id="no-identity",
        ),
    ],
)
def test_predicted_within_ten_per_cent_of_what_torch_allocates(
    sides: tuple[int, ...], overrides: tuple[str, ...]
) -> None:
    check(measured(sides, *overrides))


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [128, 256, 384, 512])
@pytest.mark.parametrize("gradient", ["one_step", "last_recursion"])
@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_predicted_at_every_width(hidden: int, gradient: str, dtype: str) -> None:
    width = (f"model.hidden={hidden}", f"model.heads={hidden // 64}", "training.batch=8", "training.accumulation=1")
    with products(dtype):
        check(measured((14,), *width, f"model.gradient={gradient}", f"training.dtype={dtype}"))


@pytest.mark.parametrize("gradient", ["one_step", "last_recursion"])
@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_products_take_no_memory_but_their_result(gradient: str, dtype: str) -> None:
    """The peak is the same to the byte whether they are computed or not."""
    chosen = (*SMALL, "training.batch=2", f"model.gradient={gradient}", f"training.dtype={dtype}")
    with ZeroProducts():
        fast = measured((10,), *chosen)
    assert fast.measured == measured((10,), *chosen).measured > 0


def on_this_cpu(monkeypatch: pytest.MonkeyPatch, forms: Forms) -> None:
    """The plan takes these forms, whatever the device."""
    monkeypatch.setattr(plans, "choose_forms", lambda cuda, kernels, tokens: forms)


@pytest.mark.parametrize("more", ["training.dtype=bf16", "training.dtype=fp32", "techniques.drop_path.probability=0.1"])
def test_predicted_for_torchs_fused_attention(monkeypatch: pytest.MonkeyPatch, more: str) -> None:
    """The form that references have on CUDA, but for the norm, which torch fuses there only."""
    monkeypatch.setattr(attention_reference, "attention_path", lambda query, needs_grad: "fused")
    on_this_cpu(monkeypatch, Forms("fused", "fused", "steps", False))
    check(measured((10,), *SMALL, "training.batch=4", more))


class _Nothing:
    """A kernel that does nothing, in the place of one that is launched on a grid."""

    def __getitem__(self, grid: object) -> Any:
        return lambda *arguments, **options: None


@pytest.mark.parametrize(
    "more", ["model.gradient=one_step", "model.gradient=last_recursion", "techniques.drop_path=on"]
)
@pytest.mark.parametrize(("dtype", "batch"), [("bf16", 12), ("fp32", 6)])
def test_predicted_for_kernels(monkeypatch: pytest.MonkeyPatch, more: str, dtype: str, batch: int) -> None:
    """What the launchers allocate and what autograd keeps, with kernels that do nothing."""
    operations = ("recurrent_attention", "residual_norm", "swiglu", "stablemax_loss")
    for module in (attention_launcher, flash_launcher, norm_launcher, mlp_launcher, loss_launcher):
        for name in [name for name in vars(module) if name.endswith("_kernel")]:
            monkeypatch.setattr(module, name, _Nothing())
    monkeypatch.setattr(runtime, "launches", lambda x: True)
    monkeypatch.setattr(
        runtime, "choose", lambda op, x, shape, problem=None: runtime.Choice(op in operations, "for this test")
    )
    on_this_cpu(monkeypatch, Forms("kernel", "kernel", "kernel", True))
    width = ("model.hidden=256", f"training.batch={batch}", "training.accumulation=1")
    with products(dtype):
        check(measured((10,), *width, more, f"training.dtype={dtype}"))


def test_the_room_of_recipes_knows_what_the_kernels_room_does() -> None:
    """Numbers that the plan repeats, because it may import neither torch nor kernels."""
    assert memory_bytes.BY_SAMPLE_MIN_TOKENS == runtime.BY_SAMPLE_MIN_TOKENS
    assert memory_bytes.BY_SAMPLE_MIN_TOKENS_GRADIENT == runtime.BY_SAMPLE_MIN_TOKENS_GRADIENT
    assert (memory_bytes.SCORE_BYTES, memory_bytes.MIN_ROWS) == (by_sample.SCORE_BYTES, by_sample.MIN_ROWS)
    pairs = lane_pairs(7, 3)
    columns = sum(
        getattr(pairs, item.name).element_size() * 3
        for item in fields(pairs)
        if item.name not in ("side", "input", "target")
    )
    assert columns + pairs.sizes.numel() * 8 == 3 * plans.PAIR_COLUMNS
    assert pairs_bytes(pairs) == 3 * 2 * 49 + columns


def test_counts_are_those_of_the_data_set(arc1_file: Path) -> None:
    chosen = build_recipe("EXP-00").recipe
    train = load_dataset(arc1_file, chosen.data).train
    assert {side: pairs.num_pairs for side, pairs in train.items()} == laid_pairs(chosen)


def test_the_highest_total_counts_only_its_own() -> None:
    allocations = [(1, 10, 100), (2, 20, 50), (4, 10, -100), (3, 99, -70), (5, 30, 60), (6, 20, -50)]
    assert highest_total(allocations) == 150
    assert highest_total([]) == 0


# Refusing -------------------------------------------------------------------------------------------------------------


def test_a_recipe_that_does_not_fit_is_refused_before_anything_is_allocated() -> None:
    # bf16 wherever this runs: fp32, which some CPUs choose, does not fit with 2 x 32 either.
    chosen = recipe((7, 10), *TINY, "training.batch=64", "memory.limit_gib=0.02", "training.dtype=bf16")
    device = choose_device(chosen.training)
    with pytest.raises(UserError) as refused:
        build_parts(chosen, dataset((7, 10)), device)
    lines = refused.value.message.splitlines()
    assert len(lines) == 2 and refused.value.exit_code == 1
    assert "at its peak, memory.limit_gib is 20 MiB" in lines[0]
    assert "training.batch=" in lines[1] and "or 2 x 32 for the same 64" in lines[1]
    parts = build_parts(recipe((7, 10), *TINY, "training.batch=64", "memory.limit_gib=1"), dataset((7, 10)), device)
    assert parts.num_slots == 64


def test_the_machines_memory_is_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = recipe((7,), *TINY, "memory.limit_gib=1")
    monkeypatch.setattr(memory, "available", lambda device: (10 * 2**20, "this machine's memory"))
    with pytest.raises(UserError, match=r"this machine's memory less the \d+ MiB that a checkpoint copies is \d+ MiB"):
        memory.enforce(chosen, dataset((7,)), choose_device(chosen.training))


def test_on_the_cpu_the_plan_is_that_of_references() -> None:
    chosen = recipe((7,), *TINY, "training.dtype=fp32")
    setting = memory.setting_for(chosen, dataset((7,)), choose_device(chosen.training))
    assert setting == Setting(pairs={7: 27}, tasks=4, device="cpu", kernels=False, dtype="fp32")
    found, name = memory.available(torch.device("cpu"))
    assert found > 2**28 and name == "this machine's memory"


class _Card:
    """torch.cuda of a card with so many GiB, capability 9.0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, total_gib: float, free_gib: float) -> None:
        self.parts: list[float] = []
        found = SimpleNamespace(total_memory=int(total_gib * GIB))
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device=None: found)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (int(free_gib * GIB), found.total_memory))
        monkeypatch.setattr(
            torch.cuda, "set_per_process_memory_fraction", lambda part, device=None: self.parts.append(part)
        )
        monkeypatch.setattr(memory, "uses_kernels", lambda recipe, device: False)


GPU = Device(torch.device("cuda"), torch.bfloat16, 1, ())


def test_a_larger_card_is_held_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    card = _Card(monkeypatch, total_gib=80, free_gib=79)
    memory.enforce(recipe((10,), "memory.limit_gib=16"), dataset((10,)), GPU)
    assert card.parts == [pytest.approx((16 - 0.5) / 80)]
    memory.enforce(recipe((10,)), dataset((10,)), GPU)
    assert len(card.parts) == 1  # no limit, nothing held


def test_a_card_is_refused_by_what_is_free_and_by_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    card = _Card(monkeypatch, total_gib=16, free_gib=1)
    large = recipe((30,), "training.batch=256", "training.accumulation=1")
    with pytest.raises(UserError, match=r"what is free on this GPU is 1\.50 GiB"):
        memory.enforce(large, dataset((30,)), GPU)
    _Card(monkeypatch, total_gib=80, free_gib=79)
    memory.enforce(large, dataset((30,)), GPU)
    limited = recipe((30,), "training.batch=256", "training.accumulation=1", "memory.limit_gib=16")
    with pytest.raises(UserError, match=r"memory\.limit_gib is 16\.00 GiB"):
        memory.enforce(limited, dataset((30,)), GPU)
    assert card.parts == []


def test_the_kind_of_card_and_its_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    _Card(monkeypatch, 80, 79)
    setting = memory.setting_for(recipe((10,)), dataset((10,)), GPU)
    assert (setting.device, setting.dtype, setting.kernels) == ("h100", "bf16", False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (8, 9))
    monkeypatch.setattr(memory, "uses_kernels", lambda recipe, device: True)
    other = memory.setting_for(recipe((10,)), dataset((10,)), GPU)
    assert (other.device, other.kernels) == ("laptop", True)
    chosen = recipe((30,), "training.batch=64")
    plan = plan_memory(chosen, Setting({30: 100}, 4, "laptop", True, "bf16"))
    assert plan.peak < plan_memory(chosen, Setting({30: 100}, 4, "laptop", False, "bf16")).peak


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["off", "force"])
def test_predicted_within_ten_per_cent_of_the_gpus_allocator(mode: str) -> None:
    chosen = recipe((10, 30), "training.batch=32", "training.accumulation=2", f"kernels.mode={mode}")
    check(measure_peak(chosen, dataset((10, 30)), choose_device(chosen.training)))


# Several ranks --------------------------------------------------------------------------------------------------------


def test_a_rank_is_planned_with_its_share_of_the_slots() -> None:
    """The lanes of rank 1 of 3 are the larger share of 64 slots; they take what the plan says, within 10 %."""
    chosen = recipe((10,), *SMALL, "training.batch=64", "training.dtype=fp32")
    device = choose_device(chosen.training)
    plan = plan_memory(chosen, memory.setting_for(chosen, dataset((10,)), device, ranks=3))
    lanes = build_parts(chosen, dataset((10,)), device, crew=Crew(World(2, 3, own=True))).lanes
    held = sum(value.numel() * value.element_size() for lane in lanes for value in lane.buffers.values())
    assert plan.slots == {10: 22} and sum(lane.count for lane in lanes) == 22
    assert plan.parts["slots"] == pytest.approx(held, rel=0.1)
    alone = plan_memory(chosen, memory.setting_for(chosen, dataset((10,)), device))
    assert alone.parts["slots"] == pytest.approx(plan.parts["slots"] * 64 / 22, rel=0.1)
    assert plan.parts["rows of all ranks"] == 2 * 64 * 128 * 4 and "rows of all ranks" not in alone.parts


def test_what_is_too_much_for_one_rank_fits_on_several() -> None:
    """A limit between the peaks of one rank and of four; on a CPU, memory is shared by the ranks of a machine."""
    chosen = recipe((10,), *TINY, "training.batch=64", "training.dtype=fp32")
    device = choose_device(chosen.training)
    one, four = (
        plan_memory(chosen, memory.setting_for(chosen, dataset((10,)), device, ranks)).peak for ranks in (1, 4)
    )
    assert four < 0.5 * one
    limited = recipe((10,), *TINY, "training.batch=64", "training.dtype=fp32", f"memory.limit_gib={0.6 * one / GIB}")
    with pytest.raises(UserError, match="a step needs"):
        memory.enforce(limited, dataset((10,)), device)
    memory.enforce(limited, dataset((10,)), device, World(size=4, here=4))


def test_ranks_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = recipe((10,), *TINY, "training.batch=64", "training.dtype=fp32")
    device = choose_device(chosen.training)
    two = plan_memory(chosen, memory.setting_for(chosen, dataset((10,)), device, 2)).peak
    saving = memory.saving_bytes(chosen, memory.setting_for(chosen, dataset((10,)), device, 2))
    monkeypatch.setattr(memory, "available", lambda device: (round(1.5 * (two + saving)), "this machine's memory"))
    with pytest.raises(UserError, match="a part of this machine's memory for each of 2 ranks less the"):
        memory.enforce(chosen, dataset((10,)), device, World(size=2, here=2))
    memory.enforce(chosen, dataset((10,)), device, World(size=2, here=1))
