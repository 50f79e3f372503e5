"""The kernel that lays pairs on their canvas: gather, dihedral, colours, translation, tokens, in one pass.

The encoding is that of `reference`. A program has one slot and BLOCK cells of its canvas, of input and target both.
"""

from __future__ import annotations

import triton
import triton.language as tl

from triton_kernels.lay import reference

PAD = tl.constexpr(reference.PAD)
EOS = tl.constexpr(reference.EOS)
FIRST_COLOR = tl.constexpr(reference.FIRST_COLOR)
LAST_COLOR = tl.constexpr(9)


@triton.jit
def laid_cells(grid_ptr, colors_ptr, height, width, dihedral, down, right, o_c, m_c, side):
    """Tokens [BLOCK] int32 of the cells o_c of a canvas on which one grid lies.

    The grid (side, side) uint8 has height x width cells; (down, right) is the corner of the turned grid. A cell of the
    canvas asks which cell of the turned grid it is, that one which cell of the grid: 2 reverses rows, 1 columns, 4
    swaps them.
    """
    transposed = (dihedral & 4) > 0
    fits = (height <= side) & (width <= side)
    turned_height = tl.where(fits, tl.where(transposed, width, height), -1)  # -1: no cell is inside or an end
    turned_width = tl.where(fits, tl.where(transposed, height, width), -1)
    row = o_c // side - down  # [BLOCK], within the turned grid
    column = o_c % side - right
    row_inside = (row >= 0) & (row < turned_height)
    column_inside = (column >= 0) & (column < turned_width)
    inside = row_inside & column_inside
    end = ((row == turned_height) & column_inside) | ((column == turned_width) & row_inside)

    row = tl.where((dihedral & 2) > 0, turned_height - 1 - row, row)
    column = tl.where((dihedral & 1) > 0, turned_width - 1 - column, column)
    source = tl.where(transposed, column * side + row, row * side + column)
    m_g = inside & m_c
    b_color = tl.load(grid_ptr + source, mask=m_g, other=0).to(tl.int32)
    b_color = tl.load(colors_ptr + tl.minimum(b_color, LAST_COLOR), mask=m_g, other=0).to(tl.int32)
    return tl.where(inside, b_color + FIRST_COLOR, tl.where(end, EOS, PAD))


@triton.jit(do_not_specialize=["side"])
def lay_kernel(
    input_ptr,
    target_ptr,
    sizes_ptr,
    index_ptr,
    dihedral_ptr,
    colors_ptr,
    offset_ptr,
    halted_ptr,
    tokens_ptr,
    labels_ptr,
    side,
    MASKED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """tokens[s, c] and labels[s, c] = laid_cells of the pair index[s], turned, coloured and moved as slot s says.

    MASKED: only for slots with halted[s]; the rest are neither read nor written. No gradient: integers.
    """
    slot = tl.program_id(0).to(tl.int64)
    wanted = True
    if MASKED:
        wanted = tl.load(halted_ptr + slot) != 0
    if wanted:
        o_c = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)  # cells of one canvas: 32 bits, for the division
        cells = side * side
        m_c = o_c < cells
        index = tl.load(index_ptr + slot)
        dihedral = tl.load(dihedral_ptr + slot)
        down = tl.load(offset_ptr + slot * 2)
        right = tl.load(offset_ptr + slot * 2 + 1)
        slot_colors = colors_ptr + slot * (LAST_COLOR + 1)
        pair_sizes = sizes_ptr + index * 4

        height, width = tl.load(pair_sizes), tl.load(pair_sizes + 1)
        b_tokens = laid_cells(
            input_ptr + index * cells, slot_colors, height, width, dihedral, down, right, o_c, m_c, side
        )
        tl.store(tokens_ptr + slot * cells + o_c, b_tokens, mask=m_c)

        height, width = tl.load(pair_sizes + 2), tl.load(pair_sizes + 3)
        b_labels = laid_cells(
            target_ptr + index * cells, slot_colors, height, width, dihedral, down, right, o_c, m_c, side
        )
        tl.store(labels_ptr + slot * cells + o_c, b_labels, mask=m_c)
