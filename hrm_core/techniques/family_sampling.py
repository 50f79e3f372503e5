"""Families that do badly are drawn more often: a share of the admissions comes from a weighted table of pairs.

Techniques room; points `attach`, `choose`, `validated`. With probability `strength` the pair of the stream is replaced
by one from the table; the augmentation stays that of the entry. A family's mass is shared by its pairs of the lane, a
pair has a part of each of its families. At the start all families alike; after each full validation a family has mass
1 - exact, at least 0.05, so that none is forgotten; families without held-out pairs keep 1. The table is whole numbers,
added up on the host, so that a draw is the same on every device.

From the plan's earlier list; kin: curricula by loss, domain weights of DoReMi (arXiv 2305.10429). The scores are those
of the split that is validated on: with `data.validate_on=eval` they would leak into training; `checks.py` refuses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrm_core.data.families import FAMILIES
from hrm_core.data.streams import Admission, vary
from hrm_core.learning.lanes import LaneState
from hrm_core.recipe.techniques import FamilySamplingConfig
from hrm_core.techniques.points import Bench, Plug
from hrm_core.techniques.purposes import FAMILY, FAMILY_PAIR
from triton_kernels.hashing import hash32, uniform

TOTAL = 1 << 30  # times a 32-bit word stays below 2**63
LEAST_MASS = 0.05

Floats = NDArray[np.float64]


def pair_weights(members: NDArray[np.bool_], mass: Floats) -> Floats:
    """members (N, F), mass (F) -> (N) weights: each family's mass shared equally by its pairs."""
    count = members.sum(0)
    share = np.where(count > 0, mass / np.maximum(count, 1), 0.0)
    weights: Floats = members.astype(np.float64) @ share
    return weights


def cumulative(weights: Floats) -> NDArray[np.int64]:
    """(N) inclusive sums of whole-number weights, at least 1 each, about TOTAL in all."""
    whole = np.maximum(1, np.round(weights / weights.sum() * TOTAL)).astype(np.int64)
    return np.cumsum(whole)


def draw(table_N: Tensor, word: Tensor) -> Tensor:
    """32-bit words -> places in an inclusive table, each as often as its part of the sum."""
    return torch.searchsorted(table_N, (word * table_N[-1]) >> 32, right=True)


@final
class LaneTables(Mapping[str, Tensor]):
    """The tables of the lanes that the bench has now, by name; a curriculum's lanes come and go."""

    def __init__(self, lanes: list[LaneState], tables: dict[LaneState, Tensor]) -> None:
        self.lanes = lanes
        self.tables = tables

    def __getitem__(self, name: str) -> Tensor:
        return next(self.tables[lane] for lane in self.lanes if f"table_{lane.side}" == name)

    def __iter__(self) -> Iterator[str]:
        return iter([f"table_{lane.side}" for lane in self.lanes])

    def __len__(self) -> int:
        return len(self.lanes)


@final
class FamilySampling:
    """`mass` (F): of each family of `data.families`; `tables`: lane -> (N) int64 inclusive sums."""

    def __init__(self, config: FamilySamplingConfig, bench: Bench) -> None:
        self.config = config
        self.bench = bench
        self.mass: Floats = np.ones(len(FAMILIES))
        self.tables: dict[LaneState, Tensor] = {}

    def _table(self, lane: LaneState) -> Tensor:
        masks = self.bench.dataset.tasks.families.numpy()[lane.pairs.task.cpu().numpy()]
        members = (masks[:, None] >> np.arange(len(FAMILIES))) & 1 > 0
        return torch.from_numpy(cumulative(pair_weights(members, self.mass)))

    def attach(self, lane: LaneState) -> None:
        """The lane's table; those of lanes that are gone go too."""
        self.tables[lane] = self._table(lane).to(lane.slots.device)
        for gone in self.tables.keys() - set(self.bench.lanes):
            del self.tables[gone]

    def choose(self, lane: LaneState, admission: Admission) -> Admission:
        """Some slots' pairs are replaced; what else their entries draw is as it would have been."""
        recipe = self.bench.recipe
        seed, entry = recipe.training.seed, lane.slots + lane["admissions"] * lane.num_slots
        index = draw(self.tables[lane], hash32(seed, FAMILY_PAIR, lane.number, entry))
        other = vary(lane.pairs, recipe.augment, seed, lane.number, entry, index)
        return other.where(uniform(hash32(seed, FAMILY, lane.number, entry)) < self.config.strength, admission)

    def validated(self, row: Mapping[str, Any]) -> None:
        """New masses after a full validation, into the same tables."""
        if row["kind"] != "full":
            return
        families = row["families"]
        for number, name in enumerate(FAMILIES):
            if name in families:
                self.mass[number] = max(LEAST_MASS, 1.0 - float(families[name]["exact"]))
        for lane in self.bench.lanes:
            self.tables[lane].copy_(self._table(lane))

    def remember(self) -> dict[str, Any]:
        """The masses, for lanes that are yet to come."""
        return {"mass": dict(zip(FAMILIES, self.mass.tolist(), strict=True))}

    def recall(self, kept: Mapping[str, Any]) -> None:
        """The reverse; the tables themselves are loaded as tensors."""
        masses = kept["mass"]
        self.mass[:] = [float(masses.get(name, 1.0)) for name in FAMILIES]

    def plug(self) -> Plug:
        """Its points."""
        return Plug(
            "family_sampling",
            attach=self.attach,
            choose=self.choose,
            validated=self.validated,
            tensors=LaneTables(self.bench.lanes, self.tables),
            remember=self.remember,
            recall=self.recall,
        )
