"""Signals that ask a run to stop, and the last words of one that does not come to its end by itself.

Training room, standard library. The first signal asks for a stop with a checkpoint; what comes while the run is ending
already is only noted, and told by the run itself once it can write; a second SIGINT ends the run where it is. Nothing
is written inside a handler. What the run does at its usual end is the trainer's affair.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, final

from hrm_core.runs.signals import answered
from hrm_core.runs.snapshots import newest_first, step_of
from hrm_core.runs.writer import RunWriter
from hrm_core.training.progress import Progress

HINT: Final = "a second Ctrl-C ends it at once"


@final
class Stops:
    """`stop` is told why the run is to stop; `ends`: whether it is ending already. came: all signals, in order; again:
    those that came while it was ending and are not told yet."""

    def __init__(self, stop: Callable[[str], None], ends: Callable[[], bool]) -> None:
        self.came: list[str] = []
        self.again: list[str] = []
        self._stop = stop
        self._ends = ends

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Within the block SIGTERM, SIGINT and SIGHUP ask for a stop; KeyboardInterrupt at the second if a SIGINT."""
        with answered(self._answer):
            yield

    def _answer(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        self.came.append(name)
        if self._ends():
            self.again.append(name)
        self._stop(f"signal {name}")
        if number == signal.SIGINT and len(self.came) > 1:
            raise KeyboardInterrupt

    def tell(self, writer: RunWriter, step: int, say: Callable[[str], None]) -> None:
        """Says what came while the run was ending: an event and a line for each signal."""
        came, self.again = Counter(self.again), []
        for name, times in came.items():
            writer.event("signal_again", step, signal=name, times=times)
            say(f"step {step}: signal {name} came while the run was ending already")


def at_once(writer: RunWriter, progress: Progress, twice: bool) -> str:
    """Why a run ends that was interrupted, and where a resume will go on; only what is whole on the disk counts."""
    steps = (step_of(path) for path in newest_first(writer.layout.checkpoints))
    saved = next((step for step in steps if step is not None), None)
    goes_on = "there is no checkpoint yet" if saved is None else f"its last checkpoint is of step {saved}"
    return f"signal SIGINT{', twice' if twice else ''}: ended at once at step {progress.step}; {goes_on}"


def last_words(writer: RunWriter, progress: Progress, state: str, reason: str, say: Callable[[str], None]) -> None:
    """Event, line and result of a run that ends by an error. Each is tried by itself: on a full disk a line may find
    room where a file does not, and a reader takes either (`hrm_core/runs/reader.py`)."""
    step = progress.step
    with suppress(OSError):
        writer.event(state, step, reason=reason)
    with suppress(OSError):
        say(f"{state} at step {step}: {reason}")
    with suppress(OSError):
        writer.result({"state": state, "reason": reason, "step": step, "best": progress.best})
