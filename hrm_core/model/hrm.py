"""The Hierarchical Reasoning Model: parameters of embeddings, two levels, output head and Q head.

Model room: holds what is learned; `segment.reasoning_segment` is what it computes, `training/step.py` and
`model/inference.py` are where it is used. At hidden 256 with 4 + 4 layers the trunk has 6.82M parameters.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from hrm_core.model.copies import WeightCopies
from hrm_core.model.embeddings import VOCABULARY, Embeddings, IdentityRows
from hrm_core.model.heads import RuleHead
from hrm_core.model.layers import Block, lecun_normal
from hrm_core.model.objects import ObjectFeatures, ObjectGraph
from hrm_core.model.positions import rotary_tables
from hrm_core.model.segment import Carry, TrunkWeights
from hrm_core.recipe.schema import Recipe


@final
class HRM(nn.Module):
    """A model for one recipe, with a task row for each of `num_tasks` tasks. fp32 parameters; computes in `dtype`."""

    def __init__(
        self, recipe: Recipe, num_tasks: int, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
    ) -> None:
        super().__init__()
        config = recipe.model
        # Drawn on the CPU whatever the device, so that a seed means one model.
        generator = torch.Generator().manual_seed(recipe.training.seed)
        self.recipe = recipe
        self.dtype = dtype
        self.embeddings = Embeddings(recipe, generator)
        self.low = nn.ModuleList(Block(config.hidden, config.expansion, generator) for _ in range(config.l_layers))
        if config.share_levels:
            self.high = nn.ModuleList()
        else:
            self.high = nn.ModuleList(Block(config.hidden, config.expansion, generator) for _ in range(config.h_layers))
        self.head = nn.Parameter(lecun_normal((VOCABULARY, config.hidden), config.hidden, generator))
        self.q_weight = nn.Parameter(torch.zeros(2, config.hidden))
        self.q_bias = nn.Parameter(torch.full((2,), recipe.halting.bias))
        self.high_start = nn.Buffer(lecun_normal((config.hidden,), 1, generator))
        self.low_start = nn.Buffer(lecun_normal((config.hidden,), 1, generator))
        self.rows = IdentityRows(recipe, num_tasks)
        # Last, so that a technique leaves the draws before it as they were.
        graph, features = recipe.techniques.object_graph is not None, recipe.input.object_features
        self.object_graph = ObjectGraph(config.hidden, generator) if graph else None
        self.object_features = ObjectFeatures(config.hidden, generator) if features else None
        rule, prefix = recipe.techniques.rule_head, recipe.identity.prefix_tokens
        self.rule_head = None if rule is None else RuleHead(rule, config.hidden, prefix, generator)
        self.to(device)
        self._rotary: dict[tuple[int, torch.dtype], tuple[Tensor, Tensor]] = {}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.head.device

    def cast(self, copies: WeightCopies | None = None) -> TrunkWeights:
        """All trunk weights in the compute dtype: cast now, or taken from copies that are up to date."""

        def to(parameter: Tensor) -> Tensor:
            return parameter.to(self.dtype) if copies is None else copies.of(parameter)

        low = tuple(block.cast(to) for block in self.low if isinstance(block, Block))
        if not len(self.high):
            return TrunkWeights(low, low, to(self.head))
        return TrunkWeights(
            tuple(block.cast(to) for block in self.high if isinstance(block, Block)), low, to(self.head)
        )

    def rotary(self, side: int) -> tuple[Tensor, Tensor]:
        """Position tables of a canvas, made once."""
        if (side, self.dtype) not in self._rotary:
            config = self.recipe.model
            self._rotary[side, self.dtype] = rotary_tables(
                side,
                self.recipe.identity.prefix_tokens,
                config.hidden // config.heads,
                config.positions,
                config.rope_theta,
                self.dtype,
                self.device,
            )
        return self._rotary[side, self.dtype]

    def start_carry(self, embedded_BTD: Tensor) -> Carry:
        """Carry of a freshly admitted sample. Without input injection the input enters here, and only here."""
        shape = embedded_BTD.shape
        high = self.high_start.to(self.dtype).expand(shape)
        low = self.low_start.to(self.dtype).expand(shape)
        return Carry(high, low) if self.recipe.model.inject_input else Carry(high, low + embedded_BTD.detach())
