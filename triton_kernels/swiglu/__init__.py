"""The gated MLP of a post-norm block with its residual and norm: public function; plain-torch reference beside it."""

from __future__ import annotations

from torch import Tensor

from triton_kernels.swiglu import reference

__all__ = ["swiglu"]


def swiglu(state_BTD: Tensor, weight_gate_up: Tensor, weight_down: Tensor, eps: float = 1e-5) -> Tensor:
    """rmsnorm(x + (silu(gate) * up) @ down^T): x (B, T, D), gate_up (2 I, D), down (D, I) -> (B, T, D).

    Rows of weight_gate_up: gate first, then up. No biases. Raises ValueError where the shapes do not fit.
    """
    hidden = state_BTD.shape[-1]
    inner = weight_down.shape[-1]
    if weight_gate_up.shape != (2 * inner, hidden) or weight_down.shape != (hidden, inner):
        raise ValueError(
            f"swiglu: state {tuple(state_BTD.shape)}, gate_up {tuple(weight_gate_up.shape)}, down "
            f"{tuple(weight_down.shape)}; needs (B, T, D), (2 I, D), (D, I)"
        )
    return reference.swiglu(state_BTD, weight_gate_up, weight_down, eps)
