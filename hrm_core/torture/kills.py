"""kill -9 at random moments of a real training, resumed each time until the run ends; against the run left alone.

Torture room. A small recipe with replay, averaged tail, curriculum and late Lion swap, deterministic, all thresholds in
steps -> rows. A kill waits until the trainer says "running", then a random while; one in ten hits the start-up. Where
it hit is read from what it left. The comparison is `kills_compare.py`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, final

from hrm_core.runs.atomic import is_leftover
from hrm_core.runs.files import integer, mapping, read_json_object, string
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import evaluation_rows, events, metrics_rows, read_status
from hrm_core.torture.bench import SMALL_RUN, Bench, Row
from hrm_core.torture.kills_compare import differences

CHECKPOINT_EVERY: Final = 5
FAST_EVERY: Final = 10
FULL_EVERY: Final = 20
START_UP_SHARE: Final = 0.1
LONGEST_WAIT_S: Final = 2.0
PATIENCE_S: Final = 300.0
FAULT: Final = "kill -9 at random moments, resumed each time until the run ends"
BAR: Final = (
    "final weights, evaluation weights, state, replay buffer and archive as in the run left alone; every metrics step "
    "once, rows equal but for clocks; nothing left behind"
)
# What must have happened in the run left alone, or the techniques were switched on for nothing.
STRUCK: Final = ("stage", "swa_first_capture", "optimizer_swapped", "best")


def overrides(steps: int) -> tuple[str, ...]:
    """EXP-02 with the techniques of EXP-07b, EXP-09 and EXP-10, each with its threshold inside the run."""
    third = steps // 3
    return (
        "preset=demo",
        *(line for line in SMALL_RUN if not line.startswith(("training.max_steps", "training.log_every"))),
        f"training.max_steps={steps}",
        "training.log_every=1",
        "training.early_stop=false",
        f"training.checkpoint_every={CHECKPOINT_EVERY}",
        f"training.fast_validation_every={FAST_EVERY}",
        f"training.full_validation_every={FULL_EVERY}",
        # A validation must be shorter than the life of a trainer that is always killed.
        "data.validate_limit=8",
        f"techniques.swa_tail.start={steps // 2}",
        "techniques.swa_tail.period=6",
        f"techniques.replay.window={steps}",
        "techniques.replay.share=0.25",
        "techniques.replay.task_share=1.0",
        "techniques.curriculum.kind=fit",
        "techniques.curriculum.scales=0.8,1.0",
        f"techniques.curriculum.ends={third}",
        f"techniques.lion_swap.start={2 * third}",
        "techniques.lion_swap.warmup=3",
    )


@final
class NoTrainerError(Exception):
    """A trainer ended by itself where it should not, or never began; the message is what it said last."""


@final
@dataclass
class Tally:
    """What was done to the runs so far. `again`: rows that the last resumes cut, the most first in `worst`."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    again: int = 0
    worst: int = 0
    problems: list[str] = field(default_factory=list)


@final
@dataclass(frozen=True)
class Pace:
    """Measured on the run left alone: seconds until it says "running", and of a step with all that goes with it."""

    start_s: float
    step_s: float


@final
class Trainer:
    """`hrm run` or `hrm resume` of one run as a process group of its own."""

    def __init__(self, bench: Bench, name: str, steps: int) -> None:
        self.layout = RunFolder(bench.folder / "runs" / name)
        self.layout.path.parent.mkdir(exist_ok=True)
        self._said = bench.folder / f"{name}.txt"
        place = ("--runs", str(self.layout.path.parent), "--data", str(bench.data))
        if self.layout.run_json.exists():
            words: tuple[str, ...] = ("resume", name, *place)
        else:
            words = ("run", "EXP-02", *overrides(steps), "--name", name, *place)
        with self._said.open("wb") as output:
            self._process = subprocess.Popen(
                bench.command(*words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(bench.environment()),
                start_new_session=True,
            )

    def runs(self) -> bool:
        """Whether this very process says that it trains."""
        status = read_status(self.layout)
        return string(status, "state") == "running" and (
            integer(mapping(status, "process"), "pid") == self._process.pid
        )

    def ended(self, within_s: float) -> bool:
        """Waits so long for it to end by itself."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait_until_running(self) -> bool:
        """False if it ended before it could be seen running. NoTrainerError if neither comes."""
        until = time.monotonic() + PATIENCE_S
        while not self.runs():
            if self.ended(0.002):
                return False
            if time.monotonic() > until:
                self.kill()
                raise NoTrainerError(f"not running after {PATIENCE_S:.0f} s: {self.last_words()}")
        return True

    def kill(self) -> None:
        """kill -9 for the whole group, whatever it does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def check_finished(self) -> None:
        """NoTrainerError unless it ended with exit code 0 and the run is finished."""
        if self._process.returncode != 0 or not finished(self.layout):
            raise NoTrainerError(f"it ended by itself with {self._process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The last line that it printed."""
        lines = self._said.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line for line in reversed(lines) if line), "it said nothing")


def finished(layout: RunFolder) -> bool:
    """Whether the run has its result, and that is the end."""
    return string(read_json_object(layout.result), "state") == "finished"


def trials(bench: Bench) -> Iterator[Row]:
    """Kills at random moments, and one after the last checkpoint."""
    steps, wanted = bench.times(1000, 40), bench.times(100, 4)
    straight = RunFolder(bench.folder / "runs/straight")
    tally = Tally()
    try:
        pace = leave_alone(bench, steps)
        bench.say(f"left alone: {pace.start_s:.1f} s to start, {pace.step_s * 1e3:.0f} ms a step")
        chance = random.Random(bench.seed)
        while not tally.problems and tally.kills.total() < wanted:
            tally.runs += 1
            name = f"killed-{tally.runs}"
            kill_until_it_ends(bench, name, steps, wanted, tally, pace, chance)
            killed = RunFolder(bench.folder / "runs" / name)
            tally.problems += differences(straight, killed, range(1, steps + 1))
    except NoTrainerError as error:
        tally.problems.append(str(error))
    yield row_of(tally, steps, wanted)
    if finished(straight):
        yield after_the_last_checkpoint(bench, straight, steps)


def leave_alone(bench: Bench, steps: int) -> Pace:
    """Trains the run that nobody kills. NoTrainerError if it does not finish, or a technique did nothing."""
    began = time.monotonic()
    trainer = Trainer(bench, "straight", steps)
    if not trainer.wait_until_running():
        raise NoTrainerError(f"the run left alone never ran: {trainer.last_words()}")
    ran = time.monotonic()
    while not trainer.ended(0.05):
        pass
    trainer.check_finished()
    seen = {event["kind"] for event in events(trainer.layout)}
    replayed = max((row.get("replay_share") or 0.0 for row in metrics_rows(trainer.layout)), default=0.0)
    missing = [kind for kind in STRUCK if kind not in seen] + ([] if replayed else ["replay"])
    if missing:
        raise NoTrainerError(f"in the run left alone these never happened: {', '.join(missing)}")
    return Pace(ran - began, (time.monotonic() - ran) / steps)


def kill_until_it_ends(
    bench: Bench, name: str, steps: int, wanted: int, tally: Tally, pace: Pace, chance: random.Random
) -> None:
    """Starts, kills and resumes one run until it ends; once all `wanted` kills are made it is left to end."""
    layout = RunFolder(bench.folder / "runs" / name)
    idle = 0  # lives in a row that came to no later checkpoint
    before = 0
    while not finished(layout):
        trainer = Trainer(bench, name, steps)
        left = wanted - tally.kills.total()
        if left > 0 and chance.random() < START_UP_SHARE:
            if not trainer.ended(chance.uniform(0.3, max(0.3, pace.start_s))):
                # Early enough or not: what counts is what it says.
                _kill(trainer, tally, bench)
                continue
        elif trainer.wait_until_running():
            _note_again(layout, tally)
            # As long a life as brings the run to its end with the last kill; longer where lives lead nowhere.
            share = max((steps - before) / (left + 1), CHECKPOINT_EVERY)
            longest = min(2 * share * pace.step_s, LONGEST_WAIT_S) * 1.5**idle
            if not trainer.ended(chance.uniform(0.0, longest) if left > 0 else PATIENCE_S * 10):
                _kill(trainer, tally, bench)
                reached = _last_checkpoint(layout)
                idle, before = (0 if reached > before else idle + 1), reached
                continue
        trainer.check_finished()


def _kill(trainer: Trainer, tally: Tally, bench: Bench) -> None:
    running = trainer.runs()
    trainer.kill()
    place = where(trainer.layout) if running else "start-up"
    tally.kills[place] += 1
    bench.say(f"kill {tally.kills.total()}: {place}, checkpoint {_last_checkpoint(trainer.layout)}")


def _last_checkpoint(layout: RunFolder) -> int:
    names = os.listdir(layout.checkpoints) if layout.checkpoints.is_dir() else []
    return max((int(name[5:]) for name in names if name.startswith("step-")), default=0)


def _note_again(layout: RunFolder, tally: Tally) -> None:
    """How many rows the resume of this life cut: what has to be computed once more."""
    resumed = [event for event in events(layout) if event["kind"] == "resumed"]
    cut = (integer(resumed[-1], "rows_cut") or 0) if resumed else 0
    tally.again, tally.worst = tally.again + cut, max(tally.worst, cut)


def where(layout: RunFolder) -> str:
    """What a trainer was at when it was killed, by what it left: with a row for each step that can be told."""
    for place, name in ((layout.checkpoints, "checkpoint"), (layout.archive, "archive"), (layout.path, "other file")):
        if any(is_leftover(entry) for entry in os.listdir(place)):
            return name
    rows = metrics_rows(layout)
    step = integer(rows[-1], "step") or 0 if rows else 0
    done = {row["kind"] for row in evaluation_rows(layout) if row["step"] == step}
    for kind, every in (("fast", FAST_EVERY), ("full", FULL_EVERY)):
        if step and step % every == 0 and kind not in done:
            return "validation"
    return "training"


def row_of(tally: Tally, steps: int, wanted: int) -> Row:
    """The row of the random kills."""
    made = tally.kills.total()
    places = ", ".join(f"{count} in {place}" for place, count in tally.kills.most_common())
    return Row(
        FAULT,
        f"real training of {steps} steps with replay, averaged tail, curriculum and Lion swap, deterministic; the "
        "process group killed a random while after it says that it runs, one in ten in its start-up; `hrm resume`",
        made,
        BAR,
        f"{made} kills ({places or 'none'}) in {tally.runs} run{'s' * (tally.runs != 1)}; at most {tally.worst} rows "
        f"computed again after a kill, {tally.again} in all; {len(tally.problems)} differences",
        "; ".join(tally.problems[:5]) or "nothing",
        not tally.problems and made >= wanted,
    )


def after_the_last_checkpoint(bench: Bench, straight: RunFolder, steps: int) -> Row:
    """The run as a kill leaves it between its last checkpoint and its result, resumed."""
    layout = RunFolder(bench.folder / "runs/ended")
    shutil.copytree(straight.path, layout.path)
    layout.result.unlink()
    trainer, problems = Trainer(bench, "ended", steps), []
    try:
        if not trainer.ended(PATIENCE_S):
            trainer.kill()
        trainer.check_finished()
        problems = differences(straight, layout, range(1, steps + 1))
    except NoTrainerError as error:
        problems = [str(error)]
    return Row(
        "kill -9 between the last checkpoint and the result",
        "result.json of the run left alone removed; `hrm resume`",
        1,
        "the run ends at its last step, and is the run left alone",
        f"{len(problems)} differences",
        "; ".join(problems[:5]) or "nothing",
        not problems,
    )
