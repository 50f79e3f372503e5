"""Decides, in one place, which implementation of an operation runs, and can say why.

The model never asks. There are no GPU kernels yet, so the choice is between `reference` (plain torch, every device,
forward and backward) and, for attention on a CPU, `by_sample`: the same formula over one sample at a time, so that
the scores stay in the last-level cache (measured: `docs/benchmarks`).
"""

from __future__ import annotations

from torch import Tensor

# From this many tokens on, the scores of a batch leave the last-level cache, and one sample at a time is faster.
BY_SAMPLE_MIN_TOKENS = 256
# From here on, with gradient, keeping the (T, T) probabilities for the backward costs more than recomputing them.
FUSED_MIN_TOKENS = 512


def attention_path(query: Tensor, needs_grad: bool) -> str:
    """ "by_sample", "materialised" or "fused" (torch's scaled_dot_product_attention) for query (B, H, T, head_dim)."""
    tokens = query.shape[-2]
    if query.device.type != "cpu":
        return "fused"
    if needs_grad:
        return "fused" if tokens >= FUSED_MIN_TOKENS else "materialised"
    return "by_sample" if tokens >= BY_SAMPLE_MIN_TOKENS else "materialised"


def describe(device: str) -> list[tuple[str, str, str]]:
    """(operation, implementation, reason) for `hrm doctor`."""
    reason = "no kernel has been verified on this device" if device == "cuda" else "there is no GPU"
    rows = [(name, "reference", reason) for name in ("residual_norm", "swiglu", "stablemax_loss", "act_halting", "lay")]
    attention = "scaled_dot_product_attention" if device == "cuda" else "by sample without gradient, else reference"
    return [("recurrent_attention", attention, reason), *rows]
