"""The step as CUDA graphs: the cast, each lane from admission to backward, the update, replayed in that order.

Training room: StepParts -> a callable that does what `train_step` does, without launching its operations one by one.
All graphs share one memory pool; they read and write the same static buffers as the eager step, so a checkpoint, a
rollback or a validation between two replays needs nothing of them. Before the capture the step is run a few times
(compilation, workspaces of the libraries) on the real buffers, and every buffer is put back. PyTorch documentation,
"CUDA Graphs". A graph is captured again only where the trainer makes a new one: at an event.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from hrm_core.recipe.training import TrainingConfig
from hrm_core.training.setup import tensors_of
from hrm_core.training.shortage import is_out_of_memory
from hrm_core.training.step import StepParts, begin, exchange, step_lane, train_step, update

WARM_UP_STEPS = 3

Work = Callable[[], None]
# Runs `work` once while recording it, and returns what replays it.
Capture = Callable[[Work], Work]


def static_buffers(parts: StepParts) -> list[Tensor]:
    """Every tensor that a step changes: the run's state, the gradients, the scalars."""
    gradients = [parts.flat.gradients, *(lane.row_gradients for lane in parts.lanes)]
    scalars = [parts.scalars.lr, parts.scalars.schedule]
    return [*tensors_of(parts).values(), *parts.techniques.scratch(), *gradients, *scalars]


def warm_up(parts: StepParts, steps: int = WARM_UP_STEPS) -> None:
    """Runs the step and puts every buffer back, so that a captured run begins where it stood."""
    buffers = static_buffers(parts)
    copies = [buffer.clone() for buffer in buffers]
    try:
        for _ in range(steps):
            train_step(parts)
    finally:
        for buffer, copy in zip(buffers, copies, strict=True):
            buffer.copy_(copy)


def warm_up_on_side_stream(parts: StepParts) -> None:
    """`warm_up` on a stream of its own, as capturing asks for."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        warm_up(parts)
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()


def cuda_capture(pool: Any, work: Work) -> Work:
    """Records `work` into a graph on the shared pool; nothing runs while it is being recorded."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        work()

    def replay() -> None:
        graph.replay()

    return replay


@final
class StepGraphs:
    """The captured step of these parts. Calling it replays every lane, then the update."""

    def __init__(self, parts: StepParts, capture: Capture, warm: Callable[[StepParts], None]) -> None:
        warm(parts)
        work = [partial(begin, parts)] if parts.copies is not None else []
        work += [partial(step_lane, parts, lane) for lane in parts.lanes if lane.count]
        self.replays = [capture(piece) for piece in work]
        if parts.crew is not None:
            # The steps of the warm-up have made the buffers that the update reads.
            self.replays.append(partial(exchange, parts))
        self.replays.append(capture(partial(update, parts)))

    def __call__(self) -> None:
        """One step."""
        for replay in self.replays:
            replay()


def capture_step(parts: StepParts) -> StepGraphs:
    """Captures on the CUDA device of the parts. RuntimeError where an operation cannot be captured."""
    pool = torch.cuda.graph_pool_handle()
    return StepGraphs(parts, partial(cuda_capture, pool), warm_up_on_side_stream)


def wants_graphs(config: TrainingConfig, device: torch.device) -> bool:
    """Whether to capture at all; `build_parts` has refused `training.graph=force` where there are no graphs."""
    return config.graph != "off" and device.type == "cuda"


def captured_or_eager(parts: StepParts, capture: Callable[[StepParts], StepGraphs], say: Callable[[str], None]) -> Work:
    """The captured step; where capturing fails the eager one, on the buffers as they were, unless graphs are forced."""
    try:
        graphs = capture(parts)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise  # the trainer makes the pieces smaller
        if parts.recipe.training.graph == "force":
            raise
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        say(f"the step could not be captured as CUDA graphs and runs without them: {first}")
        return partial(train_step, parts)
    say(f"the step is captured: {len(graphs.replays)} CUDA graphs")
    return graphs


def make_step(parts: StepParts, say: Callable[[str], None]) -> Work:
    """The step as the recipe wants it: captured on CUDA unless `training.graph=off`, else operation by operation."""
    if wants_graphs(parts.recipe.training, parts.model.device):
        return captured_or_eager(parts, capture_step, say)
    return partial(train_step, parts)
