"""The memory plan as arithmetic: what must hold of it whatever it is compared with, the targets, and what is refused.

That it is true of torch's allocator is tested beside the training (`tests/core/training/test_memory.py`).
"""

from __future__ import annotations

import pytest

from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.memory import (
    GIB,
    Dtype,
    backward_of_piece,
    forward_of_piece,
    largest_piece,
    largest_step,
    memory_plan,
    piece_choices,
    plan_memory,
    refusal,
    setting_of,
    sizes_of_piece,
    trunk_numbers,
    with_batch,
)
from hrm_core.recipe.memory_bytes import Passage, Sizes, changes, choose_forms, level_forward
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.slots import deal_slots, piece_edges


def recipe(*overrides: str, name: str = "EXP-00") -> Recipe:
    return build_recipe(name, overrides, allow_unbuilt=True).recipe


def test_passages_add_up_like_running_totals() -> None:
    assert changes(3, 2, -4, 1) == Passage(5, 2)
    assert changes(-3, 2) == Passage(0, -1)
    assert changes(3, -1).then(changes(4, -6), changes(1)) == Passage(6, 1)
    assert changes(3, -1).times(3) == Passage(7, 6)
    assert changes(3, -4).times(3) == Passage(3, -3)
    assert changes(3).times(0) == Passage()


@pytest.mark.parametrize("side", [10, 18, 30])
@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
@pytest.mark.parametrize("where", ["cpu", "cuda", "kernels"])
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["model.gradient=last_recursion", "model.l_cycles=4"],
        ["model.gradient=last_recursion", "model.share_levels=true", "model.h_cycles=3"],
        ["model.h_layers=1", "model.l_layers=2", "model.h_cycles=1", "model.l_cycles=1"],
        ["halting.kind=q_learning", "loss.kind=softmax"],
        ["techniques.drop_path=on"],
        ["techniques.drop_path=on", "model.h_layers=1"],
    ],
)
def test_the_backward_frees_what_the_forward_kept(overrides: list[str], where: str, dtype: Dtype, side: int) -> None:
    """But for the embedded input and the two new states, which the step still holds."""
    chosen = recipe(*overrides)
    setting = setting_of(chosen, "cpu" if where == "cpu" else "h100", where == "kernels", dtype=dtype)
    z = sizes_of_piece(chosen, setting, side, 3)
    forms = choose_forms(setting.cuda, setting.kernels, z.tokens)
    whole = forward_of_piece(chosen, z, forms).then(backward_of_piece(chosen, z, forms))
    assert whole.left == 3 * z.state


def test_targets_of_the_kernels() -> None:
    """916 tokens at batch 256 under 10 GiB, and EXP-00 as the plan runs it (64 x 5 slots) under 2.5 GiB."""
    large = recipe("data.canvases=[30]", "identity.prefix_tokens=16", "training.batch=256", "training.accumulation=1")
    assert memory_plan(large, "h100", kernels=True).peak_gib < 10
    assert memory_plan(large, "laptop", kernels=True).peak_gib < 10
    assert memory_plan(recipe(), "laptop", kernels=True).peak_gib < 2.5


@pytest.mark.parametrize(("hidden", "inner", "heads"), [(256, 768, 4), (256, 768, 8), (384, 1024, 6), (512, 1536, 8)])
def test_kernels_keep_at_most_3500_bytes_a_token_and_layer_at_hidden_256(hidden: int, inner: int, heads: int) -> None:
    z = Sizes(4, 901, 1, hidden, inner, heads, 2)
    for blocks in (1, 4):
        kept = level_forward(z, choose_forms(True, True, 901), True, blocks, 2).left / (z.positions * blocks)
        assert kept <= 3.5 * 1024 * hidden / 256 + (512 if blocks == 1 else 0)


def test_parts_add_up_and_grow_with_the_pieces() -> None:
    before = 0
    for batch in (1, 16, 64):
        plan = memory_plan(with_batch(recipe(), batch, 320 // batch), "laptop", kernels=False)
        assert plan.peak == sum(plan.parts.values()) > before
        assert min(plan.parts.values()) >= 0
        assert sum(plan.slots.values()) == 320
        before = plan.peak


def test_kernels_take_less_and_fp32_takes_more() -> None:
    plain = memory_plan(recipe(), "laptop", kernels=False).peak
    assert memory_plan(recipe(), "laptop", kernels=True).peak < 0.6 * plain
    assert memory_plan(recipe("training.dtype=fp32"), "laptop", kernels=False).peak > 1.5 * plain
    without = memory_plan(recipe("training.graph=off"), "laptop", kernels=False)
    assert "copies for capture" not in without.parts and without.peak < plain


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_has_a_plan(name: str) -> None:
    for device, kernels in (("cpu", False), ("laptop", True), ("h100", True)):
        assert memory_plan(recipe(name=name), device, kernels).peak > 0  # type: ignore[arg-type]


def test_parameters_are_those_of_the_model() -> None:
    assert trunk_numbers(recipe())[1] == 6_815_744
    assert trunk_numbers(recipe(name="trm"))[1] == 27_262_976 // 4


def test_slots_and_pieces() -> None:
    assert deal_slots({10: 100, 20: 50, 30: 10}, 16) == {10: 10, 20: 5, 30: 1}
    assert piece_edges(106, 64) == [(0, 53), (53, 106)]
    assert piece_edges(5, 64) == [(0, 5)]
    for slots in (1, 7, 320, 1000):
        for batch, pieces in piece_choices(slots):
            assert slots <= batch * pieces < slots + batch


# What fits ------------------------------------------------------------------------------------------------------------


def test_what_fits_is_not_refused() -> None:
    setting = setting_of(recipe(), "laptop", False)
    peak = plan_memory(recipe(), setting).peak
    assert refusal(recipe(), setting, peak, "memory.limit_gib") is None
    assert refusal(recipe(), setting, peak - 1, "memory.limit_gib") is not None


@pytest.mark.parametrize("gib", [1.2, 1.5, 2, 3, 4, 4.4])
def test_what_is_named_instead_fits_and_is_the_largest(gib: float) -> None:
    chosen = recipe()
    setting = setting_of(chosen, "laptop", False)
    text = refusal(chosen, setting, gib * GIB, "memory.limit_gib")
    assert text is not None and len(text.splitlines()) == 2
    assert f"{plan_memory(chosen, setting).peak_gib:.2f} GiB" in text and f"{gib:.2f} GiB" in text
    found = largest_piece(chosen, setting, gib * GIB)
    assert found is not None
    assert f"training.batch={found[0]} training.accumulation={found[1]}" in text
    assert plan_memory(with_batch(chosen, *found), setting).peak <= gib * GIB
    larger = piece_choices(320)[: piece_choices(320).index(found)]
    assert all(plan_memory(with_batch(chosen, *choice), setting).peak > gib * GIB for choice in larger)
    same = largest_piece(chosen, setting, gib * GIB, exact=True)
    assert same is not None and same[0] * same[1] == 320
    kept = "with the same 320 slots" if same == found else f"or {same[0]} x {same[1]} for the same 320"
    assert kept in text


def test_where_nothing_fits_it_says_so() -> None:
    setting = setting_of(recipe(), "laptop", False)
    text = refusal(recipe(), setting, 0.5 * GIB, "memory.limit_gib")
    assert text is not None and "Even training.batch=1 needs" in text and "fewer slots" in text
    assert largest_piece(recipe(), setting, 0.5 * GIB) is None
    assert largest_step(recipe(), setting, 0.5 * GIB) is None


def test_the_largest_step_in_one_piece() -> None:
    setting = setting_of(recipe(), "laptop", True)
    most = largest_step(recipe(), setting, 16 * GIB)
    assert most is not None
    assert plan_memory(with_batch(recipe(), most, 1), setting).peak <= 16 * GIB
    assert plan_memory(with_batch(recipe(), most + 1, 1), setting).peak > 16 * GIB
