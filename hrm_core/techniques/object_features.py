"""EXP-06b: every grid token is told about its own object: size, box, place in the box, rank by size, border.

Techniques room; points `attach`, `admitted`, `embedded`; belongs to `input.object_features`. Features of all training
inputs are computed once on the host and turned and moved with the grid; evaluation computes them from the tokens
(`hrm_core.model.inference`), which tests hold equal for every turn and place. Kin: object-based positions of ViTARC
(arXiv 2410.06405). The colour is left out: the token has it. Objects: one colour, eight neighbours.
"""

from __future__ import annotations

from typing import Any, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from hrm_core.data.object_maps import Feature, lay_maps, object_maps, turn_features
from hrm_core.data.streams import Admission
from hrm_core.learning.lanes import LaneState
from hrm_core.techniques.points import Bench, Plug


@final
class CellObjects:
    """`maps`: lane -> features of its pairs' inputs on the device, (N, side, side, 7) int16."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.maps: WeakKeyDictionary[LaneState, Tensor] = WeakKeyDictionary()

    def attach(self, lane: LaneState) -> None:
        """Finds the objects of every input of the lane once; gives its slots their cells' features."""
        tokens = lane["tokens"]
        found = object_maps(lane.pairs.input.cpu().numpy()).features
        self.maps[lane] = torch.from_numpy(found).to(tokens.device)
        shape = (*tokens.shape, len(Feature))
        lane.buffers["object_features_values"] = torch.zeros(shape, dtype=torch.int16, device=tokens.device)

    def admitted(self, lane: LaneState, admission: Admission) -> None:
        """Lays the features as the grid has been laid."""
        sizes, values = lane.sizes[:, :2], lane["object_features_values"]
        laid = lay_maps(self.maps[lane], sizes, admission.index, admission.dihedral, admission.offset)
        turned = turn_features(laid, admission.dihedral)
        values.copy_(torch.where(lane["halted"][:, None, None], turned, values))

    def embedded(self, lane: LaneState, piece: slice, embedded_BTD: Tensor) -> Tensor:
        """The features on the cells that show a colour."""
        adapter: Any = self.bench.model.object_features
        added: Tensor = adapter(embedded_BTD, lane["object_features_values"][piece], lane["tokens"][piece])
        return added

    def plug(self) -> Plug:
        """Its points."""
        return Plug("object_features", attach=self.attach, admitted=self.admitted, embedded=self.embedded)
