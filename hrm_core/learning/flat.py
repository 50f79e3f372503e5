"""Puts all trunk parameters, and all their gradients, into one flat fp32 buffer each.

Learning room: an nn.Module -> FlatParameters; the module's parameters become views, so that norm, clip, update,
averaging and checkpoint are a few operations over one tensor instead of hundreds. Block matrices come first, because
Muon takes those and AdamW the rest. Nothing here updates anything.
"""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from torch import Tensor, nn

# Packed parameters by the last part of their name, with the matrices in each: every one is orthogonalised alone.
PACKED_MATRICES = {"qkv": 3, "out": 1, "gate_up": 2, "down": 1}


class MatrixSpan(NamedTuple):
    """One block matrix in the flat buffer: rows x columns numbers from `start`."""

    start: int
    rows: int
    columns: int


@final
class FlatParameters:
    """`values` and `gradients`, (N,) fp32; `num_matrix_numbers` of them, at the front, belong to block matrices."""

    def __init__(self, model: nn.Module) -> None:
        named = sorted(model.named_parameters(), key=lambda item: item[0].rsplit(".", 1)[-1] not in PACKED_MATRICES)
        size = sum(parameter.numel() for _, parameter in named)
        device = named[0][1].device
        self.values = torch.zeros(size, device=device)
        self.gradients = torch.zeros(size, device=device)
        self.names: list[str] = []
        self.matrices: list[MatrixSpan] = []
        self.num_matrix_numbers = 0
        start = 0
        for name, parameter in named:
            end = start + parameter.numel()
            self.values[start:end] = parameter.detach().flatten()
            parameter.data = self.values[start:end].view(parameter.shape)
            parameter.grad = self.gradients[start:end].view(parameter.shape)
            self.names.append(name)
            count = PACKED_MATRICES.get(name.rsplit(".", 1)[-1], 0)
            if count:
                rows, columns = parameter.shape[0] // count, parameter.shape[1]
                step = rows * columns
                self.matrices += [MatrixSpan(start + i * step, rows, columns) for i in range(count)]
                self.num_matrix_numbers = end
            start = end

    def matrices_by_shape(self) -> dict[tuple[int, int], list[MatrixSpan]]:
        """Block matrices grouped by shape, for batched work."""
        groups: dict[tuple[int, int], list[MatrixSpan]] = {}
        for span in self.matrices:
            groups.setdefault((span.rows, span.columns), []).append(span)
        return groups


def gather_matrices(flat: Tensor, spans: list[MatrixSpan]) -> Tensor:
    """(N,) -> (len(spans), rows, columns), a copy."""
    return torch.stack([flat[s.start : s.start + s.rows * s.columns].view(s.rows, s.columns) for s in spans])
