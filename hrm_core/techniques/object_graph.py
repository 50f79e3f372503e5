"""EXP-06: a share of the admissions shows the graph of the input's objects in place of its grid; labels stay.

Techniques room; points `attach`, `admitted`, `embedded`. Nodes are the connected components of the input (never of the
output): their colour, area, centroid and box; edges join objects that touch. A node is the token of its colour on the
object's first cell in reading order, with what `hrm_core.model.objects.ObjectGraph` adds to it; every other cell is
PAD. The plan's "1 of 5 batches" is one of five admissions, by a hash of the slot's entry.

Kin: abstraction and reasoning with object graphs (ARGA, arXiv 2210.09880), which searches instead. Shapes, background
and size of the grid are lost, so that many labels cannot be had from the graph: such samples may teach a prior instead
of a rule, which is why EXP-06b adds features to a grid that is kept. At evaluation the grid alone is seen.
"""

from __future__ import annotations

from typing import Any, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from hrm_core.data.object_maps import lay_maps, object_maps
from hrm_core.data.streams import Admission
from hrm_core.learning.lanes import LaneState
from hrm_core.model.objects import first_cells, graph_nodes
from hrm_core.recipe.techniques import ObjectGraphConfig
from hrm_core.techniques.points import Bench, Plug
from hrm_core.techniques.purposes import OBJECT_GRAPH
from triton_kernels.hashing import hash32, uniform
from triton_kernels.lay.reference import PAD


def node_tokens(tokens_ST: Tensor, labels_ST: Tensor, num_nodes: int) -> Tensor:
    """The tokens on the first cell of each object, PAD elsewhere."""
    first = first_cells(labels_ST, num_nodes)
    labels = labels_ST.long()
    first_of_cell = first.gather(1, (labels - 1).clamp(min=0))
    place = torch.arange(labels.shape[1], device=labels.device)
    return torch.where((labels > 0) & (first_of_cell == place), tokens_ST, PAD)


@final
class ObjectGraphView:
    """`maps`: lane -> labels of its pairs' inputs on the device, (N, side, side) int16, and the most nodes of any."""

    def __init__(self, config: ObjectGraphConfig, bench: Bench) -> None:
        self.config = config
        self.bench = bench
        self.maps: WeakKeyDictionary[LaneState, tuple[Tensor, int]] = WeakKeyDictionary()

    def attach(self, lane: LaneState) -> None:
        """Labels every input of the lane once; gives its slots a label map and a flag."""
        found = object_maps(lane.pairs.input.cpu().numpy(), self.config.connectivity, self.config.max_objects).labels
        device = lane["tokens"].device
        self.maps[lane] = torch.from_numpy(found).to(device), max(1, int(found.max(initial=0)))
        lane.buffers["object_graph_labels"] = torch.zeros_like(lane["tokens"], dtype=torch.int16)
        lane.buffers["object_graph_shown"] = torch.zeros(lane.count, dtype=torch.bool, device=device)

    def admitted(self, lane: LaneState, admission: Admission) -> None:
        """Draws who sees the graph, lays the label maps, and leaves only the nodes' tokens there."""
        maps, num_nodes = self.maps[lane]
        halted, shown, labels = lane["halted"], lane["object_graph_shown"], lane["object_graph_labels"]
        word = hash32(self.bench.recipe.training.seed, OBJECT_GRAPH, lane.number, lane.entry())
        shown.copy_(torch.where(halted, uniform(word) < self.config.share, shown))
        laid = lay_maps(maps, lane.sizes[:, :2], admission.index, admission.dihedral, admission.offset)
        labels.copy_(torch.where(halted[:, None], laid, labels))
        nodes = node_tokens(lane["tokens"], labels, num_nodes)
        lane["tokens"].copy_(torch.where((halted & shown)[:, None], nodes, lane["tokens"]))

    def embedded(self, lane: LaneState, piece: slice, embedded_BTD: Tensor) -> Tensor:
        """The adapter's vectors on the nodes of the slots that see a graph."""
        adapter: Any = self.bench.model.object_graph
        _, num_nodes = self.maps[lane]
        tokens = lane["tokens"][piece]
        nodes = graph_nodes(lane["object_graph_labels"][piece], tokens, num_nodes, lane.side, self.config.connectivity)
        seen: Tensor = adapter(embedded_BTD, nodes, embedded_BTD.shape[1] - tokens.shape[1])
        return torch.where(lane["object_graph_shown"][piece][:, None, None], seen, embedded_BTD)

    def plug(self) -> Plug:
        """Its points."""
        return Plug("object_graph", attach=self.attach, admitted=self.admitted, embedded=self.embedded)
