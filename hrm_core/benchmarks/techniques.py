"""What each technique costs: the median time of a step with it over that of the control, in turn in one process.

Benchmarks room: overrides for all -> one `Cost` for each technique. The control is built once and stays; a technique is
built, runs in turn with it for some seconds, and goes. A round is as many steps of the one as of the other, with what
the trainer does before and after each, and waits for the device at its end only, as the trainer does. On a CPU it is
CPU time that is taken, since machines are shared. A technique that begins late is made to begin at once. No validation,
no row of metrics, nothing written. The curriculum is not here: its steps are on other canvases.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch

from hrm_core.benchmarks.machine import Machine, this_machine
from hrm_core.data.dataset import load_dataset
from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.training.graphs import make_step
from hrm_core.training.setup import Device, build_parts, choose_device

BAR = 1.05  # where the plan says minimal
ROUND_S = 0.5
LEAST_ROUNDS = 5
WARM_UP_STEPS = 3

# Technique -> settings with which its work is done at every step. Those that are off by a default stay at the plan's.
ARMS: dict[str, tuple[str, ...]] = {
    "swa_tail": ("techniques.swa_tail.start=1",),
    "drop_path": ("techniques.drop_path=on",),
    "gradient_noise": ("techniques.gradient_noise=on",),
    "halting_entropy": ("techniques.halting_entropy=on",),
    "object_graph": ("techniques.object_graph=on",),
    "rule_head": ("techniques.rule_head=on",),
    "replay": ("techniques.replay=on",),
    "replay, importance": ("techniques.replay.importance=true",),
    "lion_swap": ("techniques.lion_swap.start=1",),
    "contrastive": ("techniques.contrastive=on",),
    "family_sampling": ("techniques.family_sampling=on",),
    "shared_dropout": ("techniques.shared_dropout=on",),
    "state_noise": ("techniques.state_noise=on",),
    "object_features": ("input.object_features=true",),
    "label_smoothing": ("loss.label_smoothing=0.1",),
}
COLUMNS = ["technique", "control ms", "with it ms", "ratio (20 to 80 %)", "within 5 %"]


@final
@dataclass(frozen=True)
class Cost:
    """Medians of a step; the ratio is the median over rounds, `low` and `high` its 20th and 80th percentile."""

    technique: str
    settings: tuple[str, ...]
    control_ms: float
    step_ms: float
    ratio: float
    low: float
    high: float
    rounds: int

    @property
    def within(self) -> bool:
        """Whether the bar is kept."""
        return self.ratio <= BAR


@final
@dataclass(frozen=True)
class Report:
    """All costs, and what they were measured with; `left_out`: technique -> why it has no cost."""

    machine: Machine
    control: str
    costs: tuple[Cost, ...]
    left_out: dict[str, str]


@final
class Arm:
    """A run without a trainer."""

    def __init__(self, recipe: Recipe, data: Path, chosen: Device) -> None:
        parts = build_parts(recipe, load_dataset(data, recipe.data, input=recipe.input), chosen)
        length = recipe.training.max_steps
        parts.techniques.timeline.set(length if isinstance(length, int) else 10_000, 0.1)
        self.parts, self.device, self.number = parts, chosen.device, 0
        self.step = make_step(parts, _quiet)
        self.run(WARM_UP_STEPS)

    def run(self, count: int) -> float:
        """Seconds of so many steps."""
        techniques, scalars, lr = self.parts.techniques, self.parts.scalars, self.parts.recipe.optimizer.lr
        clock = time.perf_counter if self.device.type == "cuda" else time.process_time
        started = clock()
        for _ in range(count):
            events = techniques.before_step(self.number)
            if any(event.recapture for event in events):
                self.step = make_step(self.parts, _quiet)
            factor = techniques.factor(self.number, 1.0)
            scalars.lr.fill_(lr * factor)
            scalars.schedule.fill_(factor)
            self.step()
            self.number += 1
            techniques.after_step(self.number)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return clock() - started


def _quiet(line: str) -> None:
    """Says nothing."""


def compare(one: Callable[[int], float], other: Callable[[int], float], seconds: float) -> tuple[list[float], ...]:
    """Seconds of a step of the one and of the other, by rounds of about half a second, who is first changing."""
    steps = max(1, round(ROUND_S / max(one(1), 1e-6)))
    ones: list[float] = []
    others: list[float] = []
    begin = time.perf_counter()
    while len(ones) < LEAST_ROUNDS or time.perf_counter() - begin < seconds:
        turns = ((one, ones), (other, others))
        for run, times in turns if len(ones) % 2 == 0 else turns[::-1]:
            times.append(run(steps) / steps)
    return ones, others


def cost_of(name: str, settings: Sequence[str], controls: list[float], times: list[float]) -> Cost:
    """From the rounds' seconds of a step."""
    ratios = [mine / control for mine, control in zip(times, controls, strict=True)]
    fifths = statistics.quantiles(ratios, n=5)
    return Cost(
        name,
        tuple(settings),
        1e3 * statistics.median(controls),
        1e3 * statistics.median(times),
        statistics.median(ratios),
        fifths[0],
        fifths[3],
        len(ratios),
    )


def measure_techniques(
    names: Sequence[str], overrides: Sequence[str], data: Path, seconds: float, say: Callable[[str], None]
) -> Report:
    """The costs of these techniques over EXP-00 with these overrides; what cannot be built is named, not measured."""
    control_recipe = build_recipe("EXP-00", list(overrides)).recipe
    chosen = choose_device(control_recipe.training)
    torch.set_num_threads(chosen.threads)
    control = Arm(control_recipe, data, chosen)
    costs: list[Cost] = []
    left_out: dict[str, str] = {}
    for name in names:
        try:
            arm = Arm(build_recipe("EXP-00", [*overrides, *ARMS[name]]).recipe, data, chosen)
        except UserError as error:
            left_out[name] = error.message.splitlines()[0]
            continue
        costs.append(cost_of(name, ARMS[name], *compare(control.run, arm.run, seconds)))
        say(f"{name}: x {costs[-1].ratio:.3f}")
        del arm
        gc.collect()
        if chosen.device.type == "cuda":
            torch.cuda.empty_cache()
    return Report(this_machine(chosen.device), " ".join(("EXP-00", *overrides)), tuple(costs), left_out)


def table_row(cost: Cost) -> list[str]:
    """The row of a table."""
    return [
        cost.technique,
        f"{cost.control_ms:.2f}",
        f"{cost.step_ms:.2f}",
        f"{cost.ratio:.3f} ({cost.low:.3f} to {cost.high:.3f})",
        "yes" if cost.within else "no",
    ]


def to_json(report: Report) -> dict[str, Any]:
    """Plain values."""
    costs = [{**asdict(cost), "within": cost.within} for cost in report.costs]
    return {"machine": asdict(report.machine), "control": report.control, "costs": costs, "left_out": report.left_out}


def page(report: Report) -> str:
    """The page for `docs/benchmarks`."""
    machine = report.machine
    lines = [
        f"# What techniques cost on {machine.device}",
        "",
        f"Written by `hrm bench techniques --report`. Median time of a step of `{report.control}` without and with "
        "each technique, in turn in one process, with what the trainer does around a step, without validations and "
        f"logs{'' if machine.kind == 'cuda' else ', in CPU time'}. The ratio is the median over rounds. The bar of 5 % "
        "is where the plan calls a technique's cost minimal.",
        "",
        f"{machine.line()}; load average {machine.load:.1f} at the end.",
        "",
        "| " + " | ".join([*COLUMNS, "settings"]) + " |",
        "|" + "---|" * (len(COLUMNS) + 1),
    ]
    cells = [[*table_row(cost), f"`{' '.join(cost.settings)}`"] for cost in report.costs]
    lines += ["| " + " | ".join(row) + " |" for row in cells]
    lines += [f"\nNo cost of {name}: {reason}" for name, reason in report.left_out.items()]
    return "\n".join(lines).rstrip() + "\n"
