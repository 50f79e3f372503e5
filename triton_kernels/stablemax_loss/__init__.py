"""Output head, token loss and exactness counts in one pass: public function; reference in plain torch beside it."""

from __future__ import annotations

from torch import Tensor

from triton_kernels.stablemax_loss import reference

__all__ = ["stablemax_loss"]


def stablemax_loss(
    hidden_BTD: Tensor,
    weight_head: Tensor,
    labels_BT: Tensor,
    kind: str = "stablemax",
    include_pad: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """hidden (B, T, D), head (V, D), labels (B, T) int32 -> (loss, right, count, exact), each (B).

    loss fp32: mean over a sample's counted tokens (labels that are not PAD = 0, or all with include_pad); right and
    count int64; exact bool: every counted token right, and at least one. kind: "stablemax" or "softmax".
    Raises ValueError for another kind or shapes that do not fit.
    """
    if kind not in ("stablemax", "softmax"):
        raise ValueError(f"stablemax_loss: kind {kind!r}; allowed are 'stablemax' and 'softmax'")
    if hidden_BTD.shape[:2] != labels_BT.shape or weight_head.shape[-1] != hidden_BTD.shape[-1]:
        raise ValueError(
            f"stablemax_loss: hidden {tuple(hidden_BTD.shape)}, head {tuple(weight_head.shape)}, labels "
            f"{tuple(labels_BT.shape)}; needs (B, T, D), (V, D), (B, T)"
        )
    return reference.stablemax_loss(hidden_BTD, weight_head, labels_BT, kind, include_pad)
