"""Turns the device's running sums into a row of metrics, and a run's state into status.json.

Training room. The one place where the host reads numbers of the step: every `training.log_every` steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hrm_core.training.progress import Progress
from hrm_core.training.step import StepParts, Sum


def take_sums(sums: Tensor) -> dict[Sum, float]:
    """Reads and clears the sums."""
    values = sums.tolist()
    sums.zero_()
    return {place: values[place] for place in Sum}


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def metrics_row(
    parts: StepParts, progress: Progress, sums: dict[Sum, float], lr: float, telemetry: dict[str, float | None]
) -> dict[str, Any]:
    """One row of metrics.jsonl; also moves the run's totals on by these sums."""
    tokens = progress.row_tokens
    progress.samples += int(sums[Sum.SAMPLES])
    progress.puzzles += int(sums[Sum.HALTED])
    progress.tokens += tokens
    seconds = max(progress.row_seconds, 1e-9)
    token_loss = _ratio(sums[Sum.TOKEN_LOSS], sums[Sum.SAMPLES])
    halt_loss = _ratio(sums[Sum.HALT_LOSS], sums[Sum.SAMPLES])
    weight = parts.recipe.halting.weight
    pairs = sum(lane.pairs.num_pairs for lane in parts.lanes)
    return {
        "step": progress.step,
        "elapsed_s": round(progress.elapsed_s, 3),
        "samples": progress.samples,
        "puzzles": progress.puzzles,
        "tokens": progress.tokens,
        "epoch": round(progress.puzzles / pairs, 4),
        "stage": 0,
        "lr": lr,
        "loss": None if token_loss is None or halt_loss is None else token_loss + weight * halt_loss,
        "token_loss": token_loss,
        "halt_loss": halt_loss,
        "token_accuracy": _ratio(sums[Sum.RIGHT], sums[Sum.COUNTED]),
        "token_exact": _ratio(sums[Sum.HALTED_EXACT], sums[Sum.HALTED]),
        "mean_segments": _ratio(sums[Sum.HALTED_SEGMENTS], sums[Sum.HALTED]),
        "grad_norm": _ratio(sums[Sum.GRADIENT_NORM], sums[Sum.STEPS]),
        "clipped": int(sums[Sum.CLIPPED]),
        "nonfinite": int(sums[Sum.NONFINITE]),
        "samples_per_sec": sums[Sum.SAMPLES] / seconds,
        "puzzles_per_sec": sums[Sum.HALTED] / seconds,
        "tokens_per_sec": tokens / seconds,
        **telemetry,
    }


def row_words(row: Mapping[str, Any], max_steps: int) -> str:
    """One line for the log."""
    loss = "-" if row["loss"] is None else f"{row['loss']:.3f}"
    accuracy = "-" if row["token_accuracy"] is None else f"{100 * row['token_accuracy']:.1f} %"
    return (
        f"step {row['step']} of {max_steps}: loss {loss}, training tokens right {accuracy}, "
        f"{row['samples_per_sec']:.0f} segments/s"
    )


def _eta_to(every: int, step: int, rate: float, max_steps: int) -> float | None:
    left = min(every - step % every, max_steps - step)
    return left / rate if rate > 0 and left >= 0 else None


def status_of(
    progress: Progress,
    state: str,
    row: dict[str, Any] | None,
    steps_per_sec: float,
    alarms: list[dict[str, Any]],
    warming_up: bool,
    stalled_s: float,
    device: Mapping[str, Any],
) -> dict[str, Any]:
    """status.json, but for what the writer fills in. `device` is what telemetry adds to it."""
    row = row or {}
    plan, step = progress.plan, progress.step
    known = not plan.provisional
    return {
        "state": state,
        "global_step": step,
        "max_steps": plan.max_steps if known else None,
        "epoch": row.get("epoch"),
        "stage": row.get("stage", 0),
        "steps_per_sec": steps_per_sec,
        "samples_per_sec": row.get("samples_per_sec"),
        "lr": row.get("lr"),
        "loss": row.get("loss"),
        "grad_norm": row.get("grad_norm"),
        "elapsed_s": round(progress.elapsed_s, 1),
        "last_fast_eval_step": progress.last_fast_step,
        "last_full_eval_step": progress.last_full_step,
        "last_checkpoint_step": progress.last_checkpoint_step,
        "best": progress.best,
        "eta_s": (plan.max_steps - step) / steps_per_sec if known and steps_per_sec > 0 else None,
        "eta_to_next_fast_eval_s": _eta_to(plan.fast_validation_every, step, steps_per_sec, plan.max_steps)
        if known
        else None,
        "eta_to_next_full_eval_s": _eta_to(plan.full_validation_every, step, steps_per_sec, plan.max_steps)
        if known
        else None,
        "memory_gib": row.get("memory_gib"),
        "power_w": row.get("power_w"),
        "temperature_c": row.get("temperature_c"),
        "clock_mhz": row.get("clock_mhz"),
        **device,
        "alarms": alarms,
        "warming_up": warming_up,
        "stalled_s": stalled_s,
    }
