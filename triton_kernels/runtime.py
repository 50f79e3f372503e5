"""Decides, in one place, which implementation of an operation runs, and can say why.

The model never asks. There are no GPU kernels yet, so the choice is between `reference` (plain torch, every device,
forward and backward) and, for attention on a CPU, `by_sample`: the same formula over one sample and a few hundred
queries at a time, so that the scores stay in the last-level cache (measured: `docs/benchmarks`).
"""

from __future__ import annotations

from torch import Tensor

# From this many tokens on, the scores of a batch leave the last-level cache, and one sample at a time is faster.
BY_SAMPLE_MIN_TOKENS = 256
# With gradient, recomputing the (T, T) probabilities in the backward pays from here on.
BY_SAMPLE_MIN_TOKENS_GRADIENT = 512


def attention_path(query: Tensor, needs_grad: bool) -> str:
    """ "by_sample", "materialised" or "fused" (torch's scaled_dot_product_attention) for query (B, H, T, head_dim)."""
    if query.device.type != "cpu":
        return "fused"
    least = BY_SAMPLE_MIN_TOKENS_GRADIENT if needs_grad else BY_SAMPLE_MIN_TOKENS
    return "by_sample" if query.shape[-2] >= least else "materialised"


def describe(device: str) -> list[tuple[str, str, str]]:
    """(operation, implementation, reason) for `hrm doctor`."""
    reason = "no kernel has been verified on this device" if device == "cuda" else "there is no GPU"
    rows = [(name, "reference", reason) for name in ("residual_norm", "swiglu", "stablemax_loss", "act_halting", "lay")]
    attention = (
        "scaled_dot_product_attention" if device == "cuda" else "by sample where there are many tokens, else reference"
    )
    return [("recurrent_attention", attention, reason), *rows]
