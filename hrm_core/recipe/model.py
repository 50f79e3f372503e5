"""Settings of the network, of halting and of the loss.

Recipe room; free of torch. How they act: `hrm_core/model` and `hrm_core/learning`. Sources: Wang et al. 2025
(arXiv 2506.21734), Jolicoeur-Martineau 2025 (arXiv 2510.04871).
"""

from __future__ import annotations

from typing import Literal, final

from hrm_core.recipe.base import Settings, setting


@final
class ModelConfig(Settings):
    """Shape of the two levels and of one segment."""

    hidden: int = setting(
        256, "Width of a token, 32 to 4096; head width (hidden / heads) must be 32 or 64", ge=32, le=4096
    )
    heads: int = setting(4, "Attention heads, 1 to 64", ge=1, le=64)
    h_layers: int = setting(4, "Layers of the high level, 1 to 32", ge=1, le=32)
    l_layers: int = setting(4, "Layers of the low level, 1 to 32", ge=1, le=32)
    h_cycles: int = setting(2, "High-level updates in a segment, 1 to 16", ge=1, le=16)
    l_cycles: int = setting(2, "Low-level updates for each high-level update, 1 to 16", ge=1, le=16)
    expansion: float = setting(
        4.0, "Feed-forward width over hidden, before the 2/3 of SwiGLU and rounding up to 256; 0.5 to 16", ge=0.5, le=16
    )
    positions: Literal["rope2d", "rope1d"] = setting(
        "rope2d", "Rotary positions by row and column, or along the tokens (HRM)"
    )
    rope_theta: float = setting(
        100.0, "Longest rotary wave length's base: 100 suits rope2d, 10000 rope1d", ge=2, le=1e7
    )
    gradient: Literal["one_step", "last_recursion"] = setting(
        "one_step", "Gradient through the last low and high update (HRM), or through the whole last recursion (TRM)"
    )
    share_levels: bool = setting(False, "Both levels are the same layers (TRM); needs h_layers = l_layers")
    inject_input: bool = setting(True, "Add the input to the high state at every low update; off only to show why")


@final
class HaltingConfig(Settings):
    """When a slot stops thinking about its pair and takes the next."""

    kind: Literal["halt_only", "q_learning"] = setting(
        "halt_only", "halt_only: one logit, no second forward pass; q_learning: HRM's two values"
    )
    max_segments: int = setting(16, "A pair is given up after so many segments, 1 to 128", ge=1, le=128)
    exploration: float = setting(0.1, "Probability that a minimum number of segments is forced, 0 to 1", ge=0, le=1)
    bootstrap: bool = setting(True, "Target of q_continue from a second forward pass (q_learning only)")
    bias: float = setting(-5.0, "First value of the halting logits' bias, -20 to 20", ge=-20, le=20)
    weight: float = setting(0.5, "Weight of the halting loss, 0 to 10", ge=0, le=10)


@final
class LossConfig(Settings):
    """Loss of the predicted tokens."""

    kind: Literal["stablemax", "softmax"] = setting("stablemax", "stablemax (HRM) or softmax cross-entropy, in fp32")
    include_pad: bool = setting(False, "Count PAD labels too; off only to show why: most of a canvas is PAD")
    label_smoothing: float = setting(0.0, "Share of the target spread over all tokens, 0 to 0.5", ge=0, le=0.5)
