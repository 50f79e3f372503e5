"""A command of `hrm` with faults put into it: `python -m hrm_core.torture.inject FAULT=VALUE ... -- run demo ...`.

Torture room. Each fault replaces a function of the trainer by one that fails at the steps named, each once (a step
that comes again after a rollback is whole), and nothing else; then the command runs as it always does. Steps run one
operation after the other: captured graphs would not hear of it (`training.graph=off`).
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, cast, final

DAY_S = 86400.0


def _steps(value: str) -> list[int]:
    return [int(word) for word in value.split(",")]


def at_steps(value: str, strike: Callable[[int], None]) -> None:
    """Calls `strike` just before each of these steps is made the first time. Step n is the n-th, as in the rows."""
    from hrm_core.techniques.points import Techniques

    wanted, holder = set(_steps(value)), cast(Any, Techniques)
    before_step = holder.before_step

    def before(self: Techniques, step: int) -> Any:
        if step + 1 in wanted:
            wanted.discard(step + 1)
            strike(step + 1)
        return before_step(self, step)

    holder.before_step = before


def not_finite_loss(value: str) -> None:
    """The token loss of the first slots is NaN."""
    from hrm_core.training import step

    holder = cast(Any, step)
    real, due = holder.stablemax_loss, [False]

    def broken(*words: Any, **more: Any) -> Any:
        loss, *rest = real(*words, **more)
        if due[0]:
            due[0] = False
            loss = loss * float("nan")
        return (loss, *rest)

    holder.stablemax_loss = broken
    at_steps(value, lambda number: due.__setitem__(0, True))


def not_finite_gradient(value: str) -> None:
    """One number of the gradient is infinite."""
    from hrm_core.training import step

    real, due = step.update, [False]

    def broken(parts: step.StepParts) -> None:
        if due[0]:
            due[0] = False
            parts.flat.gradients[0] = float("inf")
        real(parts)

    step.update = broken
    at_steps(value, lambda number: due.__setitem__(0, True))


def out_of_memory(value: str) -> None:
    """The last piece of slots of the first lane finds no memory for its segment, when others have had theirs."""
    import torch

    from hrm_core.training import step

    real, due = step.advance, [False]

    def broken(parts: step.StepParts, lane: Any, piece: slice) -> None:
        if due[0] and piece.stop == lane.num_slots:
            due[0] = False
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 2.00 GiB (put in by the torture)")
        real(parts, lane, piece)

    step.advance = broken
    at_steps(value, lambda number: due.__setitem__(0, True))


def jumping_clock(value: str) -> None:
    """The wall clock goes forward three days, then back six, then forward again, at each step named."""
    from hrm_core.runs import records

    real, real_ns, offset, jumps = time.time, time.time_ns, [0.0], [3.0, -6.0]

    @final
    class Moved(datetime):
        """What the clock says now."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Moved:
            """Now, with the jumps so far."""
            return cls.fromtimestamp(time.time(), tz)

    def jump(number: int) -> None:
        offset[0] += jumps[0] * DAY_S
        jumps.reverse() if jumps[0] > 0 else jumps.__setitem__(slice(None), [6.0, -6.0])

    time.time = lambda: real() + offset[0]
    time.time_ns = lambda: real_ns() + int(offset[0] * 1e9)
    cast(Any, records).datetime = Moved
    at_steps(value, jump)


def two_interrupts(value: str) -> None:
    """Ctrl-C before the step, and again while the checkpoint is being written that the first one asked for."""
    from hrm_core.runs import atomic

    real, asked = atomic._sync_tree, [False]

    def interrupted(folder: Path) -> None:
        if asked[0]:
            asked[0] = False
            os.kill(os.getpid(), signal.SIGINT)
        real(folder)

    def strike(number: int) -> None:
        asked[0] = True
        os.kill(os.getpid(), signal.SIGINT)

    atomic._sync_tree = interrupted
    at_steps(value, strike)


def turned_halting(value: str) -> None:
    """The halting head says the opposite: from here on slots admit their samples at other steps."""
    import torch

    from hrm_core.training import trainer

    holder = cast(Any, trainer)
    real, made = holder.make_step, list[Any]()

    def make(parts: Any, say: Any) -> Any:
        made[:] = [parts]
        return real(parts, say)

    @torch.no_grad()
    def strike(number: int) -> None:
        made[0].model.q_weight.neg_()
        made[0].model.q_bias.neg_()

    holder.make_step = make
    at_steps(value, strike)


def written_admissions(value: str) -> None:
    """Writes what each slot admits to a file, a line each: lane, slot, count, step, and what the sample is."""
    from hrm_core.techniques.points import Techniques
    from hrm_core.training import step

    holder, techniques_holder = cast(Any, step), cast(Any, Techniques)
    real, now, before_step = holder.admit, [0], techniques_holder.before_step
    file = Path(value).open("w", encoding="ascii")  # noqa: SIM115 - open as long as the process

    def before(self: Techniques, number: int) -> Any:
        now[0] = number + 1
        return before_step(self, number)

    def admit(lane: Any, recipe: Any, techniques: Any) -> None:
        fresh = lane["halted"].nonzero()[:, 0].tolist()
        real(lane, recipe, techniques)
        names = ("admissions", "task", "augmentation", "dihedral", "colors", "tokens", "labels")
        kept = {name: lane[name].tolist() for name in names}
        for slot in fresh:
            count, *sample = (kept[name][slot] for name in names)
            file.write(json.dumps([lane.side, slot, count, now[0], sample]) + "\n")
        file.flush()

    techniques_holder.before_step = before
    holder.admit = admit


FAULTS: dict[str, Callable[[str], None]] = {
    "loss": not_finite_loss,
    "gradient": not_finite_gradient,
    "memory": out_of_memory,
    "clock": jumping_clock,
    "interrupts": two_interrupts,
    "halting": turned_halting,
    "admissions": written_admissions,
}


def main(words: list[str]) -> None:
    """Puts the faults in and runs the command."""
    end = words.index("--")
    with ExitStack() as stack:
        for word in words[:end]:
            name, _, value = word.partition("=")
            if name == "disk":  # FOLDER:FILES, the folder that is watched and where its recording goes
                from hrm_core.torture.disk import Recorder

                watched, _, kept = value.rpartition(":")
                recorder = Recorder(Path(watched))
                stack.callback(recorder.recording.save, Path(kept))
                stack.enter_context(recorder.installed())
            else:
                FAULTS[name](value)
        sys.argv[1:] = words[end + 1 :]
        runpy.run_module("hrm_core.cli.main", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
