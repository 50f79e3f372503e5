"""`python -m hrm_core.torture.writes ROOT DATA`: does writes of a run, each in a child that a fault strikes.

Torture room. Requests on standard input, one JSON object a line -> answers on standard output: what became of the
child, and what it had to say. It has imported torch and made a state once, so that a child costs a fork. Started with
the library of shim.py preloaded; `Writes` starts it. Which writes there are: write_kinds.py.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from hrm_core.errors import UserError
from hrm_core.torture.bench import SMALL_RUN, Bench
from hrm_core.torture.shim import Fault, arm, build_shim, counted, shim_environment

OVERRIDES = (
    *SMALL_RUN,
    "model.hidden=32",
    "model.heads=1",
    "training.batch=20",
    "training.device=cpu",
    "augment.pool=4",
    "techniques.replay.window=25",
    "techniques.replay.task_share=0.2",
)


@final
@dataclass(frozen=True)
class Outcome:
    """What became of a child. signal: that ended it, 0 for none; code: its exit code; said: its report, {} for none."""

    signal: int
    code: int
    said: Mapping[str, Any]


@final
class Writes:
    """The process that does the writes, for as long as the `with` lasts. program: what Python runs."""

    def __init__(self, bench: Bench, program: Sequence[str] = ("-m", "hrm_core.torture.writes")) -> None:
        self.root = bench.folder / "writes"
        self.root.mkdir()
        environment = bench.environment(**shim_environment(build_shim(bench.folder), self.root))
        command = [sys.executable, *program, str(self.root), str(bench.data)]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()  # ready: `base` is there

    def _answer(self) -> Outcome:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that does the writes ended with {self._process.wait()}")
        return Outcome(**json.loads(line))

    def ask(self, do: str, kind: str, home: Path, fault: Fault | None = None) -> Outcome:
        """`do`: one of `DEEDS`."""
        assert self._process.stdin is not None
        words = {"do": do, "kind": kind, "home": str(home), "fault": (fault or Fault()).to_json()}
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)


def _state(data: Path) -> tuple[Any, tuple[str, ...]]:
    """A state after some steps with replay, and the ids of its tasks; what the base of all homes is made from."""
    import torch

    from hrm_core.data.dataset import load_dataset
    from hrm_core.recipe.lay import build_recipe
    from hrm_core.training.setup import Device, build_parts

    torch.set_num_threads(1)
    recipe = build_recipe("demo", list(OVERRIDES)).recipe
    dataset = load_dataset(data, recipe.data, input=recipe.input)
    parts = build_parts(recipe, dataset, Device(torch.device("cpu"), torch.float32, 1, ()))
    parts.techniques.timeline.set(40, 0.01)
    return parts, dataset.tasks.ids


def _steps(parts: Any, first: int, count: int) -> None:
    from hrm_core.training.step import train_step

    for step in range(first, first + count):
        parts.techniques.before_step(step)
        parts.scalars.lr.fill_(parts.recipe.optimizer.lr)
        parts.scalars.schedule.fill_(1.0)
        train_step(parts)
        parts.techniques.after_step(step + 1)


def _error(error: BaseException) -> dict[str, Any]:
    """An error as the report has it: what a person would read, and whether it is one that is meant for people."""
    from hrm_core.runs.atomic import explain_os_error

    told = isinstance(error, OSError | UserError)
    text = str(explain_os_error(error)) if isinstance(error, OSError) else str(error)
    where = "" if told else "".join(traceback.format_exception(error))[-1500:]
    return {"told": told, "type": type(error).__name__, "text": text, "where": where}


def _strike(stage: Any, kind: Any, fault: Fault) -> dict[str, Any]:
    """One write under a fault."""
    act = kind.begin(stage)
    arm(fault)
    act()
    return {"calls": counted()}


def _twice(stage: Any, kind: Any, fault: Fault) -> dict[str, Any]:
    """One write under a fault that lets calls fail, and the same write when there is room again."""
    from hrm_core.torture.write_kinds import found_in, leftovers

    act = kind.begin(stage)
    said: dict[str, Any] = {"error": None, "again": None}
    arm(fault)
    try:
        act()
    except Exception as error:
        said["error"] = _error(error)
    said["calls"] = counted()
    arm(Fault())
    said["leftovers"], said["found"] = leftovers(stage.home), found_in(stage)
    try:
        act()
    except Exception as error:
        said["again"] = _error(error)
    said["found_again"] = found_in(stage)
    return said


def _begin(stage: Any, kind: Any, fault: Fault) -> dict[str, Any]:
    """Everything but the write itself, and what the readers find then."""
    from hrm_core.torture.write_kinds import found_in

    kind.begin(stage)
    return {"found": found_in(stage)}


def _take_up(stage: Any, kind: Any, fault: Fault) -> dict[str, Any]:
    """What readers find after a kill, and what a start does: the run taken up, its last good state loaded, the write
    done once more."""
    from hrm_core.runs.snapshots import latest_good
    from hrm_core.runs.writer import RunWriter
    from hrm_core.torture.write_kinds import age_leftovers, found_in, leftovers
    from hrm_core.training.checkpoint import EVALUATION, RAW, load_state, load_tensors
    from hrm_core.training.setup import tensors_of

    said: dict[str, Any] = {"found": found_in(stage), "leftovers": leftovers(stage.home)}
    age_leftovers(stage.home)
    RunWriter.open(stage.layout).close()
    good = latest_good(stage.layout.checkpoints)
    assert good is not None, "no checkpoint is whole"
    for name in (RAW, EVALUATION):
        load_tensors(good / name)
    act = kind.begin(stage)
    # Into parts of this child alone; what the write saves is the state that it had, so it is put back.
    state = [*tensors_of(stage.parts).values(), *stage.parts.techniques.scratch()]
    kept = [tensor.clone() for tensor in state]
    load_state(good, stage.parts)
    for tensor, value in zip(state, kept, strict=True):
        tensor.copy_(value)
    act()
    if (stage.runs / "two").exists():
        RunWriter.open(stage.runs / "two").close()
    return {**said, "leftovers_again": leftovers(stage.home), "found_again": found_in(stage)}


DEEDS: dict[str, Callable[[Any, Any, Fault], dict[str, Any]]] = {
    "strike": _strike,
    "twice": _twice,
    "begin": _begin,
    "take up": _take_up,
}


def _child(deed: Callable[[], dict[str, Any]], report: int) -> None:
    """Does it, and reports by the descriptor."""
    try:
        said = deed()
    except Exception as error:
        said = {"failed": _error(error)}
    arm(Fault())
    os.write(report, json.dumps(said).encode())
    os.close(report)


def _forked(deed: Callable[[], dict[str, Any]], at_once: bool) -> Outcome | None:
    """The outcome of a child; None in the child where it is to end as any process does, libraries and all."""
    theirs, ours = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(theirs)
        os.dup2(2, 1)
        _child(deed, ours)
        if at_once:
            os._exit(0)
        return None
    os.close(ours)
    with open(theirs, "rb") as stream:
        raw = stream.read()
    _, status = os.waitpid(child, 0)
    said: dict[str, Any] = {}
    with suppress(ValueError):
        said = json.loads(raw)
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return Outcome(ended, os.WEXITSTATUS(status) if not ended else 0, said)


def _reply(outcome: Outcome) -> None:
    sys.stdout.write(json.dumps(vars(outcome)) + "\n")
    sys.stdout.flush()


def main(root: Path, data: Path) -> None:
    """Answers requests until there are none."""
    from hrm_core.torture.write_kinds import KINDS, OLD_STEP, Stage, make_stage

    parts, ids = _state(data)
    _steps(parts, 0, OLD_STEP)
    make_stage(Stage(root / "base", parts, ids))
    _steps(parts, OLD_STEP, 1)
    gc.collect()
    gc.freeze()  # else a child's first collection copies every page
    _reply(Outcome(0, 0, {}))
    for line in sys.stdin:
        asked = json.loads(line)
        stage, kind = Stage(Path(asked["home"]), parts, ids), KINDS[asked["kind"]]
        fault = Fault(**asked["fault"])
        # Taking down an interpreter with torch takes a second, and only HDF5 is known to die of it.
        at_once = asked["do"] != "twice" or not kind.hdf5
        outcome = _forked(partial(DEEDS[asked["do"]], stage, kind, fault), at_once)
        if outcome is None:
            return
        _reply(outcome)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
