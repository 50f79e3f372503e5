"""What the model makes of the objects of its input: features on every cell, or a graph of nodes in place of the grid.

Model room. `ObjectFeatures` (EXP-06b, kin: object positions of ViTARC, arXiv 2410.06405): (B, T, 7) features of each
cell's own object -> added to the embedded grid tokens, at training and at evaluation. `ObjectGraph` (EXP-06): labels
(B, T) of a grid's objects -> a node for each on its first cell, with one round of neighbours; at training only. Both
are made last, so that the initial draws of everything else are those of a model without them. Static shapes; sums are
of whole numbers and gradients are gathered, so the same bits come every time.
"""

from __future__ import annotations

import math
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hrm_core.data.grids import MAX_SIDE, NUM_COLORS
from hrm_core.data.object_maps import Feature, object_maps, token_fields
from hrm_core.model.embeddings import one_hot
from hrm_core.model.layers import lecun_normal
from triton_kernels.lay import FIRST_COLOR

LOG_CELLS = math.log(MAX_SIDE * MAX_SIDE + 1)
# Of a node: its colour, log area, centroid, height and width of its box.
NODE_FEATURES = NUM_COLORS + 5


def scaled_features(values_BTF: Tensor) -> Tensor:
    """Whole numbers of `data.object_maps` -> fp32 from -1 to 1, 0 where there is no object: log area, box height and
    width over 30, place in the box (-1 to 1), 1 / (1 + larger objects), border."""
    values = values_BTF.float()
    area, height, width = values[..., Feature.AREA], values[..., Feature.HEIGHT], values[..., Feature.WIDTH]
    columns = [
        area.log1p() / LOG_CELLS,
        height / MAX_SIDE,
        width / MAX_SIDE,
        (2 * values[..., Feature.ROW] + 1) / height.clamp(min=1) - 1,
        (2 * values[..., Feature.COLUMN] + 1) / width.clamp(min=1) - 1,
        1 / (1 + values[..., Feature.RANK]),
        values[..., Feature.BORDER],
    ]
    return torch.stack(columns, dim=-1) * (area > 0)[..., None]


@final
class ObjectFeatures(nn.Module):
    """A linear map of the features of a cell's object, added to the cell's embedded token.

    `partner` (largest batch) int64, None but for the ablation: hashes in whose order each sample of a batch of
    `of_tokens` gets the objects of the next.
    """

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.scale = math.sqrt(hidden)
        self.weight = nn.Parameter(lecun_normal((hidden, len(Feature)), hidden, generator))
        self.partner: Tensor | None = None

    def forward(self, embedded_BTD: Tensor, values_BTF: Tensor, tokens_BT: Tensor) -> Tensor:
        """Embedded tokens with their prefix -> the same with the whole-number features of each cell that shows a colour
        added."""
        prefix = embedded_BTD.shape[1] - values_BTF.shape[1]
        features = scaled_features(values_BTF) * (tokens_BT >= FIRST_COLOR)[..., None]
        added = functional.linear(features, self.weight) * self.scale
        cells = embedded_BTD[:, prefix:] + added.to(embedded_BTD.dtype)
        return torch.cat([embedded_BTD[:, :prefix], cells], dim=1)

    def of_tokens(self, tokens_BT: Tensor, side: int) -> Tensor:
        """Features (B, T, 7) of the objects that the tokens show, labelled on the host; with a
        `partner` those of another sample of the batch."""
        values = torch.from_numpy(object_maps(token_fields(tokens_BT, side)).features).flatten(1, 2)
        values = values.to(tokens_BT.device)
        return values if self.partner is None else values[_cycle(self.partner[: len(values)])]


def _cycle(words: Tensor) -> Tensor:
    """(B) whose objects each sample gets: the next one's in the order of these words; its own only if it is alone."""
    order = torch.argsort(words)
    partner = torch.empty_like(order)
    partner[order] = order.roll(-1)
    return partner


class Nodes(NamedTuple):
    """Of each graph K nodes, some absent. features (B, K, 15) fp32, 0 where absent; first (B, K) int64, the node's
    first cell in reading order, T where absent; touching (B, K, K) fp32, 1 where two objects touch."""

    features: Tensor
    first: Tensor
    touching: Tensor


def first_cells(labels_BT: Tensor, num_nodes: int) -> Tensor:
    """(B, K) int64: the first cell in reading order of objects 1 to K; T where there is none."""
    cells = labels_BT.shape[1]
    place = torch.arange(cells, device=labels_BT.device).expand(labels_BT.shape)
    return _reduce(labels_BT.long(), place, num_nodes, "amin", cells)


def _reduce(labels_BT: Tensor, values_BT: Tensor, num_nodes: int, how: str, start: int) -> Tensor:
    """(B, K): sum, amin or amax of whole numbers over each object's cells; `start` where it has none."""
    table = torch.full((labels_BT.shape[0], num_nodes + 1), start, dtype=torch.int64, device=labels_BT.device)
    return table.scatter_reduce(1, labels_BT, values_BT, how)[:, 1:]


def touching_objects(labels_BT: Tensor, num_nodes: int, side: int, neighbors: int) -> Tensor:
    """(B, K, K) fp32: 1 where a cell of one object is beside (4 neighbours) or also diagonal to (8) one of another."""
    labels = labels_BT.long().reshape(-1, side, side)
    pairs = [(labels[:, :, :-1], labels[:, :, 1:]), (labels[:, :-1], labels[:, 1:])]
    if neighbors == 8:
        pairs += [(labels[:, :-1, :-1], labels[:, 1:, 1:]), (labels[:, :-1, 1:], labels[:, 1:, :-1])]
    width = num_nodes + 1
    edges = torch.cat([(one * width + other).flatten(1) for one, other in pairs], dim=1)
    table = torch.zeros(len(labels), width * width, dtype=torch.int64, device=labels.device)
    table = table.scatter_reduce(1, edges, torch.ones_like(edges), "amax").reshape(-1, width, width)[:, 1:, 1:]
    others = ~torch.eye(num_nodes, dtype=torch.bool, device=labels.device)
    touching: Tensor = (table | table.mT) * others
    return touching.float()


def graph_nodes(labels_BT: Tensor, tokens_BT: Tensor, num_nodes: int, side: int, neighbors: int) -> Nodes:
    """The graph of each sample. labels (B, T): 0, or 1 to K; tokens (B, T): colours at least on first cells."""
    labels, cells = labels_BT.long(), labels_BT.shape[1]
    place = torch.arange(cells, device=labels.device).expand(labels.shape)
    first = first_cells(labels, num_nodes)
    present = first < cells
    area = _reduce(labels, torch.ones_like(labels), num_nodes, "sum", 0)
    columns = [area.float().log1p() / LOG_CELLS]
    sizes = []
    for values in (place // side, place % side):
        total = _reduce(labels, values, num_nodes, "sum", 0)
        columns.append((2 * total / area.clamp(min=1) + 1) / side - 1)
        low, high = (_reduce(labels, values, num_nodes, how, start) for how, start in (("amin", side), ("amax", -1)))
        sizes.append((high - low + 1) / MAX_SIDE)
    color = tokens_BT.long().gather(1, first.clamp(max=cells - 1)) - FIRST_COLOR
    features = torch.cat([one_hot(color, NUM_COLORS), torch.stack([*columns, *sizes], dim=-1)], dim=-1)
    touching = touching_objects(labels, num_nodes, side, neighbors)
    return Nodes(features * present[..., None], first, touching)


@final
class ObjectGraph(nn.Module):
    """The adapter: a node's features, and the mean of its neighbours' projected ones, onto its embedded token."""

    def __init__(self, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.scale = math.sqrt(hidden)
        self.node = nn.Parameter(lecun_normal((hidden, NODE_FEATURES), hidden, generator))
        self.neighbor = nn.Parameter(lecun_normal((hidden, NODE_FEATURES), hidden, generator))

    def forward(self, embedded_BTD: Tensor, nodes: Nodes, prefix: int) -> Tensor:
        """Embedded tokens with their prefix -> the same with each node's vector added on its first cell."""
        degree = nodes.touching.sum(-1, keepdim=True)
        around = torch.bmm(nodes.touching, nodes.features) / degree.clamp(min=1)
        vectors = functional.linear(nodes.features, self.node) + functional.linear(around, self.neighbor)
        batch, whole, hidden = embedded_BTD.shape
        num_nodes = nodes.first.shape[1]
        # An absent node goes to a place of its own behind the cells, so that no two go to one.
        spare = whole + torch.arange(num_nodes, device=nodes.first.device)
        at = torch.where(nodes.first < whole - prefix, nodes.first + prefix, spare)
        room = vectors.new_zeros(batch, whole + num_nodes, hidden)
        placed = room.scatter(1, at[..., None].expand(-1, -1, hidden), vectors * self.scale)[:, :whole]
        return embedded_BTD + placed.to(embedded_BTD.dtype)
