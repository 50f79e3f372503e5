"""Which canvas a task is laid on. Sizes known at test time -> a side of `data.canvases`.

The rule never looks at a test output: it holds every demonstration grid and every test input, and goes one step up
only where two demonstrations with inputs of equal size have outputs of different sizes, since then the size of a test
output cannot be read off its input.
"""

from __future__ import annotations

from collections.abc import Sequence

from hrm_core.data.grids import Task

DEFAULT_CANVASES = (10, 14, 18, 24, 30)


def known_side(task: Task) -> int:
    """Largest side of the grids known at test time: all demonstrations and the test inputs."""
    shapes = [shape for pair in task.demonstrations for shape in (pair.input.shape, pair.target.shape)]
    return max(int(side) for shape in shapes + [pair.input.shape for pair in task.tests] for side in shape)


def output_size_varies(task: Task) -> bool:
    """True if two demonstrations with equal input size have different output sizes: the canvas goes one step up."""
    outputs: dict[tuple[int, ...], tuple[int, ...]] = {}
    for pair in task.demonstrations:
        if outputs.setdefault(pair.input.shape, pair.target.shape) != pair.target.shape:
            return True
    return False


def choose_canvas(side: int, step_up: bool, canvases: Sequence[int]) -> int | None:
    """The canvas for a task of this known side; None if even the largest is too small."""
    fitting = sorted(canvas for canvas in canvases if canvas >= side)
    if not fitting:
        return None
    return fitting[1] if step_up and len(fitting) > 1 else fitting[0]
