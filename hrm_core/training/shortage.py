"""Memory that ran out in a step or while it was captured: smaller pieces, and a state that no failed step has touched.

Training room: an error -> whether it is that; StepParts -> half as many slots at a time, and the state of step 0. The
slots S of a step stay what they are, so the run is the same but for rounding. Where to go back to is the trainer's
affair, validations are `validation_memory.py`'s.
"""

from __future__ import annotations

import gc

import torch

from hrm_core.data.dataset import Dataset
from hrm_core.errors import UserError
from hrm_core.training.setup import Device, assemble_parts, tensors_of
from hrm_core.training.step import StepParts

REMEDY = (
    "Free memory on this device (`hrm device` shows who has it), or start another run with fewer slots "
    "(training.batch x training.accumulation) or smaller canvases (data.canvases)."
)


# What torch raises where the host has no more, and no class tells it from other errors.
HOST_WORDS = "DefaultCPUAllocator: can't allocate memory"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error is a lack of memory, or came up while one was being dealt with, as in a capture cut short."""
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            return True
        if isinstance(error, RuntimeError) and HOST_WORDS in str(error):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def refuse_crew(parts: StepParts, error: BaseException) -> None:
    """UserError (1) where several processes train the run: none can go back to an earlier step alone."""
    if parts.crew is not None:
        size = parts.crew.world.size
        raise UserError(f"out of memory on rank {parts.crew.world.rank} of {size}.\n{REMEDY}", 1) from error


def halve_pieces(parts: StepParts) -> tuple[int, int]:
    """Lets half as many slots pass through memory together: (slots of the largest piece before, the limit now).

    UserError (1) where a piece is a single slot already.
    """
    assert parts.limit is not None, "parts of a run have a limit"
    largest = max(piece.stop - piece.start for lane in parts.lanes for piece in lane.pieces(parts.largest_piece))
    if largest == 1:
        raise UserError(f"out of memory with one slot at a time.\n{REMEDY}", 1)
    parts.limit.slots = largest // 2
    return largest, parts.limit.slots


def clear_step(parts: StepParts) -> None:
    """Forgets what a step that failed has left in buffers that are no state, and gives its memory back."""
    parts.flat.gradients.zero_()
    for lane in parts.lanes:
        lane.row_gradients.zero_()
    give_back(parts.model.device)


def give_back(device: torch.device) -> None:
    """Gives memory back that nothing holds any more. Call it outside the `except`, whose traceback holds much."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def begin_anew(parts: StepParts, dataset: Dataset) -> None:
    """Puts the parts back to step 0, from others built on the host, where a seed means the same."""
    host = Device(torch.device("cpu"), parts.model.dtype, torch.get_num_threads(), ())
    fresh = assemble_parts(parts.recipe, dataset, host)
    parts.techniques.recall(fresh.techniques.remember())
    first = tensors_of(fresh)
    for name, tensor in tensors_of(parts).items():
        tensor.copy_(first[name])
    for mine, theirs in zip(parts.techniques.scratch(), fresh.techniques.scratch(), strict=True):
        mine.copy_(theirs)
