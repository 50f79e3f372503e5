"""What the model is told: tokens of the grid, and the identity of task and view.

Model room: tokens (B, side * side) int32 and Identity -> (B, prefix + side * side, D) in the compute dtype. Token and
identity vectors are scaled by sqrt(D) (Wang et al. 2025, published code). Task rows live outside the trunk's
parameters, in `IdentityRows`, because they have an optimizer of their own. Ours: `shared` identity adds a row for the
dihedral element and a colour code to one row per task; HRM has one row per task and augmentation.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hrm_core.model.layers import lecun_normal
from hrm_core.model.types import Identity
from hrm_core.recipe.schema import Recipe

VOCABULARY = 12
NUM_COLORS = 10
NUM_DIHEDRAL = 8


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
        pair = torch.arange(NUM_COLORS, device=identity.colors.device) * NUM_COLORS + identity.colors
        code = functional.embedding(pair, self.color).sum(1) / math.sqrt(NUM_COLORS)
        return rows_BD + functional.embedding(identity.dihedral, self.dihedral) + code

    def forward(self, tokens_BT: Tensor, identity: Identity, rows_BD: Tensor, dtype: torch.dtype) -> Tensor:
        """tokens (B, T) int32, rows (B, D) fp32 -> (B, prefix + T, D) in dtype."""
        cells = functional.embedding(tokens_BT, self.token)
        prefix = cells.new_zeros(cells.shape[0], self.identity.prefix_tokens, cells.shape[-1])
        if self.identity.kind != "none":
            vector = self.identity_vector(identity, rows_BD)
            if self.identity.place in ("tokens", "both"):
                cells = cells + vector[:, None]
            if self.identity.place in ("prefix", "both"):
                prefix = torch.cat([vector[:, None], prefix[:, 1:]], dim=1)
        return (torch.cat([prefix, cells], dim=1) * self.scale).to(dtype)
