"""rmsnorm(residual + attended @ weight^T) in plain torch. RMSNorm without gain: Zhang & Sennrich 2019 (1910.07467)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def residual_norm(branch_BTI: Tensor, weight: Tensor, residual_BTD: Tensor, eps: float) -> Tensor:
    """See `triton_kernels.residual_norm.residual_norm`."""
    total = residual_BTD + functional.linear(branch_BTI, weight)
    return functional.rms_norm(total, (total.shape[-1],), eps=eps)
