"""Small runs with a fault: started, watched, resumed and looked at afterwards.

Torture room. Case + faults -> a child process of `inject.py`, or a finished one; a run folder -> phrases that say what
is wrong, none where all is well. Which faults there are and what must follow is in `faults.py`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, final

from hrm_core.errors import UserError
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import evaluation_rows, events, metrics_rows, read_run
from hrm_core.runs.snapshots import latest_good
from hrm_core.torture.bench import SMALL_RUN, Bench
from hrm_core.torture.kills_compare import differences

STEPS: Final = 40
LIMIT_S: Final = 900.0
# Short validations: these runs are many. All checkpoints are kept, so that one more does not push another out.
_RECIPE: Final = (*SMALL_RUN, f"training.max_steps={STEPS}", "data.validate_limit=8", "training.keep_checkpoints=20")


@final
@dataclass(frozen=True)
class Case:
    """One try: its run's name, its own chance, and the run that was left alone."""

    bench: Bench
    name: str
    chance: Random
    straight: RunFolder

    @property
    def run(self) -> RunFolder:
        """Where its run lies."""
        return RunFolder(self.bench.folder / "runs" / self.name)


def start(case: Case, *faults: str, overrides: Sequence[str] = (), data: Path | None = None) -> subprocess.Popen[bytes]:
    """Starts the run with these faults; what it says goes to files beside the runs."""
    words = ["run", "demo", *_RECIPE, "training.graph=off", *overrides, "--name", case.name]
    words += ["--runs", str(case.run.path.parent), "--data", str(data or case.bench.data)]
    command = [sys.executable, "-m", "hrm_core.torture.inject", *faults, "--", *words]
    with (case.bench.folder / f"{case.name}.err").open("wb") as said:
        return subprocess.Popen(
            command,
            env=case.bench.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )


def to_end(case: Case, *faults: str, overrides: Sequence[str] = (), code: int = 0) -> list[str]:
    """Runs it until it ends; a phrase where it ends with another code than that."""
    child = start(case, *faults, overrides=overrides)
    try:
        found = child.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return [f"{' '.join(faults)}: it had not ended after {LIMIT_S:.0f} s"]
    said = (case.bench.folder / f"{case.name}.err").read_text(encoding="utf-8", errors="replace")
    return [] if found == code else [f"{' '.join(faults)}: it ended with {found}: {' '.join(said.split())[-200:]}"]


def resume(case: Case, *words: str) -> subprocess.CompletedProcess[str]:
    """`hrm resume` of the run, to its end."""
    command = case.bench.command("resume", case.name, *words, "--runs", str(case.run.path.parent))
    return subprocess.run(
        command,
        env=case.bench.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LIMIT_S,
        check=False,
    )


def wait_for_step(case: Case, child: subprocess.Popen[bytes], step: int) -> None:
    """Until a row of this step or a later one is there. UserError where the run ends before."""
    deadline = time.monotonic() + LIMIT_S
    while not any(row["step"] >= step for row in metrics_rows(case.run)):
        if child.poll() is not None or time.monotonic() > deadline:
            raise UserError(f"{case.name} ended before step {step}", 1)
        time.sleep(0.01)


def event_rows(run: RunFolder, kind: str) -> list[dict[str, Any]]:
    """The events of this kind."""
    return [row for row in events(run) if row.get("kind") == kind]


def ended(run: RunFolder, steps: int) -> list[str]:
    """A phrase where the run is not finished with all its steps."""
    view = read_run(run)
    if view.state == "finished" and view.step == steps:
        return []
    return [f"{run.run_id} is {view.state} at step {view.step} of {steps}"]


def rows_once(run: RunFolder, steps: int = STEPS) -> list[str]:
    """Phrases where rows of the log are not there once each, or a validation is there twice."""
    wrong, found = [], [row["step"] for row in metrics_rows(run)]
    if found != list(range(5, steps + 1, 5)):
        wrong.append(f"{run.run_id} has rows of the steps {found}")
    counted = Counter((row["step"], row.get("kind")) for row in evaluation_rows(run))
    twice = [f"{kind} of step {step}" for (step, kind), count in counted.items() if count > 1]
    return wrong + ([f"{run.run_id} has twice the validation {twice[0]}"] if twice else [])


def finite_weights(run: RunFolder) -> list[str]:
    """A phrase where there is no whole checkpoint, or a number in the last one is not finite."""
    import torch

    from hrm_core.training.checkpoint import load_tensors

    good = latest_good(run.checkpoints)
    if good is None:
        return [f"{run.run_id} has no whole checkpoint"]
    names = ("weights.safetensors", "evaluation.safetensors", "state.safetensors")
    tensors = {f"{file} {name}": value for file in names for name, value in load_tensors(good / file).items()}
    odd = [name for name, value in tensors.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    return [f"{run.run_id}: {odd[0]} is not finite"] if odd else []


def differences_to(case: Case) -> list[str]:
    """How the run differs from the one left alone. A checkpoint more, of where it was stopped, is none."""
    return [f"{case.name}: {line}" for line in differences(case.straight, case.run, range(5, STEPS + 1, 5))]
