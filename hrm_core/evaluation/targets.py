"""What a lane's predictions are held against, at the origin and without augmentation.

Evaluation room: LanePairs and the whole targets of those that do not fit -> `Targets` for scoring. Laying is
`triton_kernels.lay`, the one that training uses.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hrm_core.data.grids import NUM_COLORS, Grid
from hrm_core.data.lanes import LanePairs, OversizePairs
from hrm_core.data.streams import Admission
from hrm_core.evaluation.metrics import Targets
from triton_kernels.lay import lay


def as_published(pairs: LanePairs) -> Admission:
    """Every pair of a lane once, at the origin, no turn, no permuted colours: view 0."""
    zeros = torch.zeros_like(pairs.task)
    colors = torch.arange(NUM_COLORS, device=zeros.device).expand(len(zeros), -1).contiguous()
    offset = torch.zeros(len(zeros), 2, dtype=torch.int64, device=zeros.device)
    return Admission(torch.arange(len(zeros), device=zeros.device), pairs.task, zeros, colors, offset, zeros)


def input_grids(pairs: LanePairs) -> tuple[Grid, ...]:
    """The N inputs, (height, width) uint8 each."""
    fields = pairs.input.cpu().numpy()
    return _crop(fields, pairs.input_height.tolist(), pairs.input_width.tolist())


def target_grids(pairs: LanePairs, oversize: OversizePairs | None) -> tuple[Grid, ...]:
    """The N whole targets; those that do not fit the canvas are taken from `oversize`, which must hold them."""
    grids = list(_crop(pairs.target.cpu().numpy(), pairs.target_height.tolist(), pairs.target_width.tolist()))
    whole: dict[int, Grid] = {}
    if oversize is not None:
        heights, widths = oversize.target_height.tolist(), oversize.target_width.tolist()
        whole = dict(zip(oversize.key.tolist(), _crop(oversize.target.cpu().numpy(), heights, widths), strict=True))
    for number, (fits, key) in enumerate(zip(pairs.fits.tolist(), pairs.key.tolist(), strict=True)):
        if not fits:
            grids[number] = whole[key]
    return tuple(grids)


def make_targets(pairs: LanePairs, oversize: OversizePairs) -> Targets:
    """The lane's targets, ready for `score_samples`."""
    view = as_published(pairs)
    inputs, labels = lay(pairs.input, pairs.target, pairs.sizes, view.index, view.dihedral, view.colors, view.offset)
    same_size = (pairs.input_height == pairs.target_height) & (pairs.input_width == pairs.target_width)
    return Targets(
        labels=labels.to(torch.uint8).cpu().numpy(),
        inputs=inputs.to(torch.uint8).cpu().numpy(),
        grids=target_grids(pairs, oversize),
        fits=pairs.fits.cpu().numpy(),
        same_size=same_size.cpu().numpy(),
    )


def _crop(fields: NDArray[np.uint8], heights: list[int], widths: list[int]) -> tuple[Grid, ...]:
    return tuple(field[:height, :width] for field, height, width in zip(fields, heights, widths, strict=True))
