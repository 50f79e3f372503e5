"""Heads that only training has: the one that predicts a task's rule descriptors (EXP-08).

Model room: z_H (B, T, D) -> logits (B, 21) fp32, the classes of all descriptors side by side. Part of the trunk's
parameters and of snapshots; predictions never read it.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hrm_core.data.rule_labels import RULE_CLASSES
from hrm_core.model.layers import lecun_normal
from hrm_core.recipe.techniques import RuleHeadConfig


def by_descriptor(logits_BC: Tensor) -> list[Tensor]:
    """Logits (B, 21) -> those of each descriptor, (B, classes)."""
    parts, start = [], 0
    for count in RULE_CLASSES.values():
        parts.append(logits_BC[:, start : start + count])
        start += count
    return parts


def predicted_classes(logits_BC: Tensor) -> Tensor:
    """(B, 4) int64: the likeliest class of each descriptor."""
    return torch.stack([logits.argmax(-1) for logits in by_descriptor(logits_BC)], dim=1)


@final
class RuleHead(nn.Module):
    """One hidden layer over the mean of the grid tokens' z_H, or over the first prefix token's."""

    def __init__(self, config: RuleHeadConfig, hidden: int, prefix_tokens: int, generator: torch.Generator) -> None:
        super().__init__()
        classes = sum(RULE_CLASSES.values())
        self.from_prefix = config.read == "prefix"
        self.prefix_tokens = prefix_tokens
        self.first = nn.Parameter(lecun_normal((config.width, hidden), hidden, generator))
        self.first_bias = nn.Parameter(torch.zeros(config.width))
        self.second = nn.Parameter(lecun_normal((classes, config.width), config.width, generator))
        self.second_bias = nn.Parameter(torch.zeros(classes))

    def forward(self, high_BTD: Tensor) -> Tensor:
        """z_H with its prefix -> (B, 21)."""
        read_BD = high_BTD[:, 0].float() if self.from_prefix else high_BTD[:, self.prefix_tokens :].float().mean(1)
        inner = functional.silu(functional.linear(read_BD, self.first, self.first_bias))
        return functional.linear(inner, self.second, self.second_bias)
