"""Run folders for the console's tests, written by the real writer, and waiting without sleeping."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, final

import pytest
from textual.pilot import Pilot

from hrm_core.runs.writer import RunWriter

ALARM = {
    "name": "input_blind",
    "sentence": "2 % of the predicted grids change when the input is swapped (threshold 10 %).",
    "advice": "Re-inject the input: model.inject_input=true.",
}
PATIENCE_S = 60.0


def metrics_row(step: int, max_steps: int = 1000) -> dict[str, Any]:
    """A row as the trainer writes it."""
    return {
        "step": step,
        "elapsed_s": step * 0.2,
        "loss": 2.0 * math.exp(-3 * step / max_steps) + 0.3,
        "token_accuracy": 0.5,
        "lr": 1e-3,
        "grad_norm": 1.0,
        "samples_per_sec": 160.0,
    }


def evaluation_row(step: int, kind: str = "full", exact: float = 0.1) -> dict[str, Any]:
    """A validation as the trainer writes it."""
    return {
        "step": step,
        "elapsed_s": 1.0,
        "kind": kind,
        "split": "val",
        "weights": "ema",
        "pairs": 416,
        "loss": 0.9,
        "metrics": {"exact": exact, "cell_accuracy": 0.8, "color_accuracy": 0.7, "padded_accuracy": 0.9},
        "trivial": {
            "exact": {"pad": 0.0, "black": 0.0, "frequent": 0.0, "copy": 0.009},
            "cell_accuracy": {"pad": 0.0, "black": 0.4, "frequent": 0.5, "copy": 0.61},
            "padded_accuracy": {"pad": 0.827, "black": 0.1, "frequent": 0.827, "copy": 0.87},
        },
        "lift": {"exact": exact - 0.009},
        "input_sensitivity": 0.93,
        "input_gain": 0.14,
        "identity_sensitivity": 0.88,
        "notes": [],
    }


@final
class Runs:
    """Makes runs in one folder. A run that lives keeps its writer, and with it the lock, until the test ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writers: dict[str, RunWriter] = {}

    def make(
        self,
        name: str,
        state: str = "running",
        steps: int = 200,
        max_steps: int = 1000,
        *,
        experiment: str = "EXP-00",
        alarms: tuple[dict[str, str], ...] = (),
        log: tuple[str, ...] = ("a line",),
    ) -> Path:
        """A run in a state: living ones hold their lock, `lost` ones have let it go without a result."""
        folder = self.folder / name
        writer = RunWriter.create(folder, 'experiment = "EXP-00"\n', {"experiment": experiment, "seed": 1})
        for step in range(10, steps + 1, 10):
            writer.metrics(metrics_row(step, max_steps))
        for step in range(max_steps // 10, steps + 1, max_steps // 10):
            writer.evaluation(evaluation_row(step))
        writer.event("started", step=0)
        for line in log:
            writer.log(line)
        writer.status(self.status(state, steps, max_steps, alarms))
        if state in ("finished", "stopped", "failed"):
            writer.result({"state": state, "step": steps})
        if state in ("finished", "stopped", "failed", "lost"):
            writer.close()
        else:
            self.writers[name] = writer
        return folder

    @staticmethod
    def status(
        state: str, steps: int, max_steps: int = 1000, alarms: tuple[dict[str, str], ...] = ()
    ) -> dict[str, Any]:
        """status.json of a run."""
        return {
            "state": "running" if state == "lost" else state,
            "global_step": steps,
            "max_steps": max_steps,
            "samples_per_sec": 160.0,
            "steps_per_sec": 5.0,
            "lr": 1e-3,
            "grad_norm": 1.0,
            "eta_s": 160.0,
            "last_checkpoint_step": steps,
            "best": {"metric": "exact", "value": 0.1, "step": 100},
            "alarms": list(alarms),
        }


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the settings, keys and caches of whoever runs it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    folder = tmp_path / "runs"
    folder.mkdir()
    made = Runs(folder)
    yield made
    for writer in made.writers.values():
        writer.close()


@pytest.fixture
def until() -> Callable[[Pilot[Any], Callable[[], object]], Awaitable[None]]:
    """`await until(pilot, condition)`: lets the app work until it holds, and fails with what the screen says."""

    async def wait(pilot: Pilot[Any], condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if condition():
                return
            await pilot.pause(0.02)
        pytest.fail(f"waited in vain; the screen says:\n{screen_text(pilot.app)}")

    return wait


def screen_text(app: Any) -> str:
    """Everything on the screen, as lines of text."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


@pytest.fixture
def shown() -> Callable[[Any], str]:
    return screen_text
