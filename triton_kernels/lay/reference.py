"""The second half of an admission, in plain torch: chosen pairs -> token rows that the model reads.

Pairs of one lane (N, side, side) uint8 (colours 0..9, 10 outside) and, for each of S slots, the pair's row, a dihedral
element, a colour permutation and an offset -> tokens and labels (S, side * side) int32: PAD 0, EOS 1, colour c is
c + 2. The dihedral turns the grid itself, which is then put down at the offset, the same for input and output. One row
of EOS lies under the grid (as wide as it) and one column right of it (as high), the corner stays PAD, and both are cut
off where the canvas ends: the encoding of Wang et al. 2025 (arXiv 2506.21734), on canvases other than 30 x 30 too.
A dihedral element is three bits: 4 transposes, then 2 reverses the rows, then 1 reverses the columns.

Shapes are static and nothing is read back by the host. What to admit is chosen elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

PAD = 0
EOS = 1
FIRST_COLOR = 2


def lay(
    input: Tensor,
    target: Tensor,
    sizes: Tensor,
    index: Tensor,
    dihedral: Tensor,
    colors: Tensor,
    offset: Tensor,
) -> tuple[Tensor, Tensor]:
    """Lay S pairs on their canvas; returns (tokens, labels), each (S, side * side) int32.

    input, target: (N, side, side) uint8; sizes: (N, 4) int64, heights and widths (input, then target);
    index: (S) int64 rows of the pairs; dihedral: (S) int64 0..7; colors: (S, 10) int64, the new colour of each colour;
    offset: (S, 2) int64 row and column of the grid's corner, applied as given (cells beyond the canvas are cut off).
    A target that is larger than the canvas gives labels that are PAD throughout.
    """
    sizes_S4 = sizes[index]
    tokens = _lay_grid(input, sizes_S4[:, 0], sizes_S4[:, 1], index, dihedral, colors, offset)
    labels = _lay_grid(target, sizes_S4[:, 2], sizes_S4[:, 3], index, dihedral, colors, offset)
    return tokens, labels


def lay_into(
    input: Tensor,
    target: Tensor,
    sizes: Tensor,
    index: Tensor,
    dihedral: Tensor,
    colors: Tensor,
    offset: Tensor,
    halted: Tensor,
    tokens: Tensor,
    labels: Tensor,
) -> None:
    """As `lay`, into tokens and labels (S, side * side) int32, in place and only for slots with halted (S) bool."""
    new_tokens, new_labels = lay(input, target, sizes, index, dihedral, colors, offset)
    torch.where(halted[:, None], new_tokens, tokens, out=tokens)
    torch.where(halted[:, None], new_labels, labels, out=labels)


def _lay_grid(
    grids: Tensor, height_S: Tensor, width_S: Tensor, index: Tensor, dihedral: Tensor, colors: Tensor, offset: Tensor
) -> Tensor:
    side = grids.shape[1]
    transposed_S = (dihedral & 4) > 0
    turned_height = torch.where(transposed_S, width_S, height_S)[:, None, None]
    turned_width = torch.where(transposed_S, height_S, width_S)[:, None, None]

    cell = torch.arange(side, device=grids.device)
    row = cell[None, :, None] - offset[:, 0, None, None]  # (S, side, 1), within the turned grid
    column = cell[None, None, :] - offset[:, 1, None, None]  # (S, 1, side)
    row_inside = (row >= 0) & (row < turned_height)
    column_inside = (column >= 0) & (column < turned_width)
    fits = ((height_S <= side) & (width_S <= side))[:, None, None]
    inside = row_inside & column_inside & fits
    end = ((row == turned_height) & column_inside | (column == turned_width) & row_inside) & fits

    row = torch.where(((dihedral & 2) > 0)[:, None, None], turned_height - 1 - row, row)
    column = torch.where(((dihedral & 1) > 0)[:, None, None], turned_width - 1 - column, column)
    source = torch.where(transposed_S[:, None, None], column * side + row, row * side + column)
    source = torch.where(inside, source, 0) + (index * (side * side))[:, None, None]

    color = grids.reshape(-1)[source.reshape(-1)].reshape(source.shape).to(torch.int64)
    color = colors.gather(1, color.clamp(max=9).flatten(1)).reshape(source.shape)
    laid = torch.where(inside, color + FIRST_COLOR, torch.where(end, EOS, PAD))
    return laid.flatten(1).to(torch.int32)
