"""The trunk's weights in the compute dtype, cast once a step however many lanes and pieces use them.

Model room: fp32 parameters -> copies that `refresh` brings up to date; `of(parameter)` is the copy, connected to its
parameter where gradients are recorded. Only the training step uses copies: it refreshes them first, so that nothing
else that changes weights (loading, averages put in their place) has to remember them.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn


@final
class _Copied(torch.autograd.Function):
    """Forward: the copy. Backward: the gradient in the parameter's dtype."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, copy: Tensor) -> Tensor:
        """(parameter, its copy) -> the copy."""
        ctx.dtype = parameter.dtype
        return copy.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Gradient of the copy -> gradient of the parameter."""
        return gradients[0].to(ctx.dtype), None


@final
class WeightCopies:
    """Copies of a module's matrices in `dtype`. Stale until `refresh` has been called."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        self.parameters: list[Tensor] = [parameter for parameter in model.parameters() if parameter.dim() == 2]
        self.copies = [torch.empty_like(parameter, dtype=dtype) for parameter in self.parameters]
        self._of = {id(parameter): copy for parameter, copy in zip(self.parameters, self.copies, strict=True)}

    @torch.no_grad()
    def refresh(self) -> None:
        """Brings every copy up to date."""
        torch._foreach_copy_(self.copies, self.parameters)

    def of(self, parameter: Tensor) -> Tensor:
        """The copy of this parameter; gradients reach the parameter."""
        copy: Tensor = _Copied.apply(parameter, self._of[id(parameter)])  # type: ignore[no-untyped-call]
        return copy
