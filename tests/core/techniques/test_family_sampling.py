"""The table of family sampling against its formula, what is drawn from it, and what a validation makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from technique_bench import tiny_parts

from hrm_core.data.families import FAMILIES
from hrm_core.data.streams import Admission, choose, room
from hrm_core.errors import UserError
from hrm_core.learning.lanes import LaneState
from hrm_core.recipe.lay import build_recipe
from hrm_core.techniques.family_sampling import TOTAL, cumulative, draw, pair_weights
from hrm_core.training.step import StepParts, admit
from triton_kernels.hashing import hash32


def test_each_family_shares_its_mass_equally() -> None:
    members = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
    weights = pair_weights(members, np.array([3.0, 1.0, 5.0]))
    np.testing.assert_allclose(weights, [1, 1, 1.5, 0.5])


def test_draws_follow_the_weights_and_end_with_the_table() -> None:
    table = torch.from_numpy(cumulative(np.array([1.0, 2.0, 5.0])))
    assert abs(int(table[-1]) - TOTAL) <= 3
    drawn = draw(table, hash32(1, 2, torch.arange(20_000)))
    share = torch.bincount(drawn, minlength=3) / len(drawn)
    torch.testing.assert_close(share, torch.tensor([0.125, 0.25, 0.625]), atol=0.015, rtol=0)
    assert draw(table, torch.tensor([0, 2**32 - 1])).tolist() == [0, 2]
    tiny = torch.from_numpy(cumulative(np.array([1.0, 1e-15])))
    assert int(tiny[1] - tiny[0]) == 1, "nobody is shut out"


def family_shares(parts: StepParts, admissions: int) -> dict[int, np.ndarray]:
    """Lane number -> share of each family's members among what is drawn."""
    shares = {}
    for lane in parts.lanes:
        counts = np.zeros(len(FAMILIES))
        for _ in range(admissions):
            lane["halted"].fill_(True)
            admit(lane, parts.recipe, parts.techniques)
            masks = parts_families(parts)[lane["task"]].numpy()
            counts += ((masks[:, None] >> np.arange(len(FAMILIES))) & 1).sum(0)
        shares[lane.number] = counts / (admissions * lane.num_slots)
    return shares


def parts_families(parts: StepParts) -> torch.Tensor:
    plug = next(plug for plug in parts.techniques.plugs if plug.name == "family_sampling")
    assert plug.choose is not None
    families: torch.Tensor = plug.choose.__self__.bench.dataset.tasks.families  # type: ignore[attr-defined]
    return families


def expected_shares(parts: StepParts, mass: np.ndarray) -> dict[int, np.ndarray]:
    shares = {}
    for lane in parts.lanes:
        masks = parts_families(parts)[lane.pairs.task].numpy()
        members = ((masks[:, None] >> np.arange(len(FAMILIES))) & 1) > 0
        weights = pair_weights(members, mass)
        shares[lane.number] = (weights[:, None] * members).sum(0) / weights.sum()
    return shares


def test_families_alike_at_first_and_then_the_worse_ones_more(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, ["techniques.family_sampling.strength=1", "training.batch=60"])
    alike = np.ones(len(FAMILIES))
    for number, share in family_shares(parts, 40).items():
        np.testing.assert_allclose(share, expected_shares(parts, alike)[number], atol=0.05)
    tables = {name: (table.clone(), table.data_ptr()) for name, table in parts.techniques.tensors().items()}
    parts.techniques.validated({"kind": "fast", "families": {FAMILIES[0]: {"exact": 1.0}}})
    assert all(torch.equal(parts.techniques.tensors()[name], table) for name, (table, _) in tables.items())
    parts.techniques.validated({"kind": "full", "families": {FAMILIES[0]: {"exact": 1.0}, FAMILIES[1]: {"exact": 0.5}}})
    mass = alike.copy()
    mass[:2] = 0.05, 0.5
    for name, (table, where) in tables.items():
        changed = parts.techniques.tensors()[name]
        assert not torch.equal(changed, table) and changed.data_ptr() == where
    for number, share in family_shares(parts, 40).items():
        np.testing.assert_allclose(share, expected_shares(parts, mass)[number], atol=0.05)


def test_what_is_drawn_fits_its_canvas_and_a_share_is_as_without(arc1_file: Path) -> None:
    lines = ["training.batch=60", "augment.dihedral=true", "augment.translate=1", "augment.color_probability=0.5"]
    plain = tiny_parts(arc1_file, lines)
    parts = tiny_parts(arc1_file, [*lines, "techniques.family_sampling.strength=0.5"])
    for lane, other in zip(parts.lanes, plain.lanes, strict=True):
        new = parts.techniques.choose(lane, before := _stream(other, plain))
        assert torch.equal(new.task, lane.pairs.task[new.index])
        down, right = room(lane.pairs, new.index, new.dihedral)
        assert bool((new.offset[:, 0] <= down).all()) and bool((new.offset[:, 1] <= right).all())
        same = float((new.index == before.index).float().mean())
        assert 0.3 < same < 0.75
        assert torch.equal(new.augmentation, before.augmentation)


def _stream(lane: LaneState, parts: StepParts) -> Admission:
    seed = parts.recipe.training.seed
    return choose(lane.pairs, parts.recipe.augment, seed, lane.number, lane.num_slots, lane.slots, lane["admissions"])


def test_masses_are_remembered(arc1_file: Path) -> None:
    first, second = (tiny_parts(arc1_file, ["techniques.family_sampling=on"]) for _ in range(2))
    first.techniques.validated({"kind": "full", "families": {FAMILIES[2]: {"exact": 0.25}}})
    kept = first.techniques.remember()
    assert kept["family_sampling"]["mass"][FAMILIES[2]] == 0.75
    second.techniques.recall(kept)
    assert second.techniques.remember() == kept


def test_scores_of_the_evaluation_split_do_not_choose_what_is_trained_on() -> None:
    with pytest.raises(UserError, match=r"set data.validate_on=val"):
        build_recipe("EXP-00", ["techniques.family_sampling=on", "data.validate_on=eval"])
