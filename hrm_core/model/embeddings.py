"""What the model is told: tokens of the grid, and the identity of task and view.

Model room: tokens (B, side * side) int32 and Identity -> (B, prefix + side * side, D) in the compute dtype. Token and
identity vectors are scaled by sqrt(D) (Wang et al. 2025, published code). Task rows live outside the trunk's
parameters, in `IdentityRows`, because they have an optimizer of their own. Ours: `shared` identity adds a row for the
dihedral element and a colour code to one row per task; HRM has one row per task and augmentation.
"""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hrm_core.model.layers import lecun_normal
from hrm_core.model.types import Identity
from hrm_core.recipe.schema import Recipe

VOCABULARY = 12
NUM_COLORS = 10
NUM_DIHEDRAL = 8


def one_hot(index: Tensor, count: int) -> Tensor:
    """(...) whole numbers -> (..., count) fp32, 1 where the number is the column's."""
    return (index[..., None] == torch.arange(count, dtype=index.dtype, device=index.device)).float()


def table_gradient(gradient_BTD: Tensor, tokens_BT: Tensor, count: int) -> Tensor:
    """Gradient (count, D) of a table of `count` rows that tokens were looked up in, from that of what was found.

    On a GPU each sample's sum is a product with its one-hot matrix, and the samples are added in one fixed order:
    a few kernels, and the same bits every time. torch's own sorts all tokens first.
    """
    if gradient_BTD.device.type == "cpu":
        gradient: Tensor = torch.ops.aten.embedding_dense_backward(gradient_BTD, tokens_BT, count, -1, False)
        return gradient
    return torch.bmm(one_hot(tokens_BT, count).mT, gradient_BTD).sum(0)


@final
class LookUp(torch.autograd.Function):
    """Rows of a small fp32 table, (V, D), for tokens (B, T) -> (B, T, D)."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, tokens_BT: Tensor) -> Tensor:
        """As `functional.embedding`."""
        ctx.save_for_backward(tokens_BT)
        ctx.count = table.shape[0]
        return functional.embedding(tokens_BT, table)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """As `table_gradient`."""
        (tokens_BT,) = ctx.saved_tensors
        return table_gradient(gradients[0], tokens_BT, ctx.count), None


@final
class IdentityRows(nn.Module):
    """The task rows, (rows + 1, D) fp32, zero at the start; the last row is scratch space for padded updates.

    A buffer, not a parameter: the trunk's optimizer must not see it. `index` turns an Identity into row numbers.
    """

    def __init__(self, recipe: Recipe, num_tasks: int) -> None:
        super().__init__()
        self.kind = recipe.identity.kind
        self.pool = recipe.augment.pool
        count = {"none": 0, "shared": num_tasks, "per_augmentation": num_tasks * self.pool}[self.kind]
        self.table = nn.Buffer(torch.zeros(count + 1, recipe.model.hidden))

    def index(self, identity: Identity) -> Tensor:
        """(B) int64 row numbers; the scratch row where there is no identity."""
        if self.kind == "none":
            return torch.zeros_like(identity.task)
        if self.kind == "shared":
            return identity.task
        return identity.task * self.pool + identity.augmentation


@final
class Embeddings(nn.Module):
    """Token table, dihedral rows and colour table (trunk parameters), and how they are put together."""

    def __init__(self, recipe: Recipe, generator: torch.Generator) -> None:
        super().__init__()
        hidden = recipe.model.hidden
        self.identity = recipe.identity
        self.scale = math.sqrt(hidden)
        self.token = nn.Parameter(lecun_normal((VOCABULARY, hidden), hidden, generator))
        if recipe.identity.kind == "shared":
            self.dihedral = nn.Parameter(torch.zeros(NUM_DIHEDRAL, hidden))
            self.color = nn.Parameter(torch.zeros(NUM_COLORS * NUM_COLORS, hidden))

    def identity_vector(self, identity: Identity, rows_BD: Tensor) -> Tensor:
        """(B, D) fp32: task row, plus dihedral row and colour code where the identity is shared."""
        if self.identity.kind != "shared":
            return rows_BD
        # Products of a few samples with small tables: forward and gradient are one kernel each, in a fixed order.
        code = one_hot(identity.colors, NUM_COLORS).flatten(1) @ self.color / math.sqrt(NUM_COLORS)
        return rows_BD + one_hot(identity.dihedral, NUM_DIHEDRAL) @ self.dihedral + code

    def forward(self, tokens_BT: Tensor, identity: Identity, rows_BD: Tensor, dtype: torch.dtype) -> Tensor:
        """tokens (B, T) int32, rows (B, D) fp32 -> (B, prefix + T, D) in dtype."""
        cells: Tensor = LookUp.apply(self.token, tokens_BT)  # type: ignore[no-untyped-call]
        prefix = cells.new_zeros(cells.shape[0], self.identity.prefix_tokens, cells.shape[-1])
        if self.identity.kind != "none":
            vector = self.identity_vector(identity, rows_BD)
            if self.identity.place in ("tokens", "both"):
                cells = cells + vector[:, None]
            if self.identity.place in ("prefix", "both"):
                prefix = torch.cat([vector[:, None], prefix[:, 1:]], dim=1)
        return (torch.cat([prefix, cells], dim=1) * self.scale).to(dtype)
