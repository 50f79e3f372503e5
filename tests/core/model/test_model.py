"""The model against the paper's counts and update order, and what each setting changes."""

from __future__ import annotations

import pytest
import torch

from hrm_core.model.embeddings import LookUp, one_hot, table_gradient
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import run_segments
from hrm_core.model.layers import inner_width, run_level
from hrm_core.model.positions import coordinates, rotary_tables
from hrm_core.model.segment import Carry, reasoning_segment
from hrm_core.model.types import Identity
from hrm_core.recipe.augment import IdentityConfig
from hrm_core.recipe.model import ModelConfig
from hrm_core.recipe.schema import Recipe
from triton_kernels.recurrent_attention.reference import rotate

SIDE = 3
SMALL = {"hidden": 64, "heads": 2, "h_layers": 1, "l_layers": 1}


def recipe(identity: dict[str, object] | None = None, **model: object) -> Recipe:
    return Recipe(model=ModelConfig(**{**SMALL, **model}), identity=IdentityConfig(**(identity or {})))


def identity(batch: int) -> Identity:
    return Identity(
        torch.arange(batch) % 4, torch.arange(batch) % 8, torch.arange(10).repeat(batch, 1), torch.arange(batch) % 3
    )


def tokens(batch: int, side: int = SIDE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 12, (batch, side * side), generator=generator, dtype=torch.int32)


def test_trunk_has_the_published_number_of_parameters() -> None:
    model = HRM(Recipe(), num_tasks=4)
    blocks = sum(parameter.numel() for level in (model.low, model.high) for parameter in level.parameters())
    assert blocks == 6_815_744
    assert inner_width(512, 4.0) == 1536


@pytest.mark.parametrize("gradient", ["one_step", "last_recursion"])
def test_segment_runs_the_updates_in_the_papers_order(gradient: str) -> None:
    """Two nested loops written out, with gradients of everything, against the segment."""
    model = HRM(recipe(gradient=gradient, h_cycles=2, l_cycles=3), 4, torch.float64)
    config = model.recipe.model
    weights = model.cast()
    x, start_high, start_low = torch.randn(3, 2, 10, 64, dtype=torch.float64)
    carry = Carry(start_high, start_low)
    got = reasoning_segment(weights, carry, x, model.rotary(SIDE), config)
    high, low = carry
    for h_cycle in range(2):
        for l_cycle in range(3):
            recorded = h_cycle == 1 and (l_cycle == 2 or gradient == "last_recursion")
            with torch.set_grad_enabled(recorded):
                low = run_level(weights.low, low, (high + x,), model.rotary(SIDE), config.heads)
        with torch.set_grad_enabled(h_cycle == 1):
            high = run_level(weights.high, high, (low,), model.rotary(SIDE), config.heads)
    torch.testing.assert_close(got.high, high)
    torch.testing.assert_close(got.low, low)
    ours = torch.autograd.grad(got.high.sum(), list(model.low.parameters()))
    theirs = torch.autograd.grad(high.sum(), list(model.low.parameters()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_shared_levels_are_one_set_of_weights() -> None:
    model = HRM(recipe(share_levels=True), 4)
    weights = model.cast()
    assert weights.high is weights.low
    assert len(model.high) == 0


def test_axial_positions_do_not_depend_on_the_canvas() -> None:
    small, large = coordinates(3, 2), coordinates(5, 2)
    assert small[:2].tolist() == [[0, 0], [0, -1]]
    assert small[2 + 1 * 3 + 2].tolist() == [2, 3] == large[2 + 1 * 5 + 2].tolist()
    cos_small, _ = rotary_tables(3, 1, 32, "rope2d", 100.0, torch.float32, torch.device("cpu"))
    cos_large, _ = rotary_tables(5, 1, 32, "rope2d", 100.0, torch.float32, torch.device("cpu"))
    torch.testing.assert_close(cos_small[1 + 1 * 3 + 2], cos_large[1 + 1 * 5 + 2])


def test_axial_scores_depend_on_the_offset_only() -> None:
    cos, sin = rotary_tables(6, 0, 32, "rope2d", 100.0, torch.float64, torch.device("cpu"))
    query, key = torch.randn(32, dtype=torch.float64), torch.randn(32, dtype=torch.float64)
    q = rotate(query.expand(1, 36, 1, 32), cos, sin)[0, :, 0]
    k = rotate(key.expand(1, 36, 1, 32), cos, sin)[0, :, 0]
    scores = (q @ k.T).view(6, 6, 6, 6)
    torch.testing.assert_close(scores[1, 1, 3, 2], scores[2, 3, 4, 4])
    assert not torch.isclose(scores[1, 1, 3, 2], scores[1, 1, 2, 3])


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        *((kind, place) for kind in ("shared", "per_augmentation") for place in ("prefix", "tokens", "both")),
        ("none", "prefix"),
    ],
)
def test_identity_reaches_the_places_it_is_sent_to(kind: str, place: str) -> None:
    model = HRM(recipe({"kind": kind, "place": place, "prefix_tokens": 2}), 4)
    rows = torch.ones(2, 64)
    embedded = model.embeddings(tokens(2), identity(2), rows, torch.float32)
    plain = model.embeddings(tokens(2), identity(2), rows * 0, torch.float32)
    changed = (embedded - plain).abs().amax(-1) > 0
    assert embedded.shape == (2, 2 + SIDE * SIDE, 64)
    assert changed[:, 0].all().item() == (kind != "none" and place != "tokens")
    assert not changed[:, 1].any()
    assert changed[:, 2:].all().item() == (kind != "none" and place != "prefix")


def test_identity_row_numbers() -> None:
    shared = HRM(recipe(), 4).rows
    assert shared.index(identity(6)).tolist() == [0, 1, 2, 3, 0, 1]
    assert shared.table.shape == (5, 64)
    each = HRM(recipe({"kind": "per_augmentation"}), 4).rows
    assert each.index(identity(6)).tolist() == [0, 301, 602, 900, 1 * 0 + 1, 302]
    assert each.table.shape == (1201, 64)
    assert HRM(recipe({"kind": "none"}), 4).rows.table.shape == (1, 64)


def test_shared_identity_tells_dihedral_and_colours() -> None:
    model = HRM(recipe(), 4)
    torch.nn.init.normal_(model.embeddings.dihedral)
    torch.nn.init.normal_(model.embeddings.color)
    base = identity(1)
    swapped = base.colors.clone()
    swapped[0, [1, 2]] = swapped[0, [2, 1]]
    rows = torch.zeros(1, 64)
    plain = model.embeddings.identity_vector(base, rows)
    table = model.embeddings.color
    code = sum(table[c * 10 + c] for c in range(10)) / 10**0.5
    torch.testing.assert_close(plain[0], model.embeddings.dihedral[0] + code)
    other = model.embeddings.identity_vector(Identity(base.task, base.dihedral, swapped, base.augmentation), rows)
    assert not torch.allclose(plain, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("heads", [1, 2])
def test_inference_gives_every_output(dtype: torch.dtype, heads: int) -> None:
    model = HRM(recipe(hidden=64, heads=heads), 4, dtype)
    out = run_segments(model, tokens(3), identity(3), SIDE, 4, tokens(3), every_segment=True)
    assert out.tokens.shape == (3, 9)
    assert out.halt_logit.shape == (3, 4)
    assert out.halt_logit.dtype == torch.float32
    assert out.loss is not None and out.loss.shape == (3,)
    assert out.tokens_by_segment is not None and out.tokens_by_segment.shape == (4, 3, 9)
    assert torch.equal(out.tokens_by_segment[-1], out.tokens)
    torch.testing.assert_close(out.confidence, torch.full((3,), 1 / (1 + 2.718281828**5)))


def test_a_seed_is_a_model() -> None:
    one, two = HRM(recipe(), 4), HRM(recipe(), 4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_without_injection_the_input_enters_at_the_start_only() -> None:
    model = HRM(recipe(inject_input=False), 4)
    embedded = torch.randn(2, 10, 64)
    torch.testing.assert_close(model.start_carry(embedded).low, model.low_start + embedded)
    weights, carry = model.cast(), Carry(torch.randn(2, 10, 64), torch.randn(2, 10, 64))
    one = reasoning_segment(weights, carry, embedded, model.rotary(SIDE), model.recipe.model)
    two = reasoning_segment(weights, carry, embedded * 2, model.rotary(SIDE), model.recipe.model)
    assert torch.equal(one.high, two.high)


def test_the_gradient_of_a_small_table_by_products_is_that_of_a_look_up() -> None:
    generator = torch.Generator().manual_seed(1)
    looked_up = torch.randint(0, 12, (3, 25), generator=generator, dtype=torch.int32)
    gradient = torch.randn(3, 25, 64, generator=generator)
    table = torch.randn(12, 64, generator=generator, requires_grad=True)
    torch.nn.functional.embedding(looked_up, table).backward(gradient)
    assert table.grad is not None
    by_products = torch.bmm(one_hot(looked_up, 12).mT, gradient).sum(0)
    torch.testing.assert_close(by_products, table.grad)
    assert torch.equal(table_gradient(gradient, looked_up, 12), table.grad)
    # What a GPU would do, on this CPU.
    with torch.device("meta"):
        there = table_gradient(torch.empty(3, 25, 64), torch.empty(3, 25, dtype=torch.int32), 12)
    assert there.shape == table.shape
    other = table.detach().clone().requires_grad_()
    found = LookUp.apply(other, looked_up)
    assert torch.equal(found, table[looked_up])
    found.backward(gradient)
    assert other.grad is not None
    assert torch.equal(other.grad, table.grad)


def test_dihedral_and_colour_rows_are_those_of_a_look_up() -> None:
    model = HRM(recipe(), 4)
    torch.nn.init.normal_(model.embeddings.dihedral)
    torch.nn.init.normal_(model.embeddings.color)
    given = identity(6)
    rows = torch.zeros(6, 64)
    pair = torch.arange(10) * 10 + given.colors
    color, dihedral = (
        part.detach().clone().requires_grad_() for part in (model.embeddings.color, model.embeddings.dihedral)
    )
    plain = torch.nn.functional.embedding(given.dihedral, dihedral)
    plain = plain + torch.nn.functional.embedding(pair, color).sum(1) / 10**0.5
    vector = model.embeddings.identity_vector(given, rows)
    torch.testing.assert_close(vector, plain)
    for result in (plain, vector):
        result.square().sum().backward()
    torch.testing.assert_close(model.embeddings.color.grad, color.grad)
    torch.testing.assert_close(model.embeddings.dihedral.grad, dihedral.grad)
