"""Memory that runs out in a validation: it is made anew with half as many grids at a time.

Training room: what evaluates with so many grids at once -> its result. A piece of a validation changes nothing that
lasts, so there is nowhere to go back to, and what comes out is the same but for rounding. What fitted is kept in
policy.json, apart from the pieces of a step. Not here: `hrm eval`, which takes `--set evaluation.batch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, final

from torch import Tensor

from hrm_core.errors import UserError
from hrm_core.model.inference import Predictor
from hrm_core.model.types import Identity, SegmentsOutput
from hrm_core.runs.writer import RunWriter
from hrm_core.training.policy import Policy
from hrm_core.training.progress import Progress
from hrm_core.training.shortage import REMEDY, give_back, is_out_of_memory
from hrm_core.training.step import StepParts

T = TypeVar("T")


@final
class ValidationMemory:
    """How many grids the validations of a run predict at once. `predict` is the predictor that they are to use."""

    def __init__(
        self, parts: StepParts, writer: RunWriter, progress: Progress, policy: Policy, say: Callable[[str], None]
    ) -> None:
        self.parts = parts
        self.writer = writer
        self.progress = progress
        self.policy = policy
        self.say = say
        self._predictor = Predictor(parts.model)
        self._largest = 0

    @property
    def grids(self) -> int:
        """The recipe's `evaluation.batch`, or less once memory has run out."""
        wanted = self.parts.recipe.evaluation.batch
        return wanted if self.policy.grids is None else min(wanted, self.policy.grids)

    def saw(self, grids: int) -> None:
        """Takes note of a piece that is about to be predicted."""
        self._largest = max(self._largest, grids)

    def predict(
        self, tokens: Tensor, identity: Identity, side: int, labels: Tensor | None, every_segment: bool
    ) -> SegmentsOutput:
        """What `Predictor` says."""
        self.saw(len(tokens))
        return self._predictor(tokens, identity, side, labels, every_segment)

    def within(self, work: Callable[[int], T]) -> T:
        """What `work` returns, given how many grids to take at once; again with half as many where memory runs out.

        UserError (1) where it runs out over a single grid, or before the first.
        """
        while True:
            self._largest = 0
            try:
                return work(self.grids)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self._halve()

    def _halve(self) -> None:
        give_back(self.parts.model.device)
        before, step = min(self._largest, self.grids), self.progress.step
        if before <= 1:
            where = "with one grid at a time" if before else "before its first grid"
            raise UserError(f"out of memory in a validation, {where}.\n{REMEDY}", 1)
        self.policy.grids = before // 2
        self.writer.policy(self.policy.to_json())
        pieces = {"pieces_before": before, "pieces": self.policy.grids}
        self.writer.event("out_of_memory", step, when="in a validation", back_to=None, **pieces)
        self.say(
            f"step {step}: out of memory in a validation; it is made anew, from here on with at most "
            f"{self.policy.grids} grids at a time, {before} before"
        )
