"""`hrm bench memory`: what a step of a recipe takes of memory, part by part, predicted and measured.

Command-line room. The prediction is `hrm_core/recipe/memory.py`'s arithmetic and needs neither torch nor data;
`--measure` builds the recipe on this machine and lays the measured peak beside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hrm_core.cli.options import json_option, print_json, print_line, print_table

if TYPE_CHECKING:
    from hrm_core.recipe.counts import DeviceKind
    from hrm_core.recipe.memory import MemoryPlan
    from hrm_core.recipe.schema import Recipe

GIB = 2**30
DEFAULT_LIMIT_GIB = 16.0


@click.command("memory")
@click.argument("words", nargs=-1, metavar="[EXPERIMENT] [KEY=VALUE]...")
@click.option(
    "--device",
    type=click.Choice(["cpu", "laptop", "h100"]),
    default="laptop",
    show_default=True,
    help="The kind of device to predict for.",
)
@click.option(
    "--limit",
    "limit_gib",
    type=click.FloatRange(0, 4096, min_open=True),
    default=None,
    help="GiB that the largest batch is found for (default: memory.limit_gib, or 16).",
)
@click.option("--measure", is_flag=True, help="Also train one step on this machine and measure its peak.")
@click.option("--data", "data", type=click.Path(path_type=Path), default=None, metavar="FILE", help="The data file.")
@json_option
def memory(
    words: tuple[str, ...], device: DeviceKind, limit_gib: float | None, measure: bool, data: Path | None, as_json: bool
) -> None:
    """Predict the peak memory of a training step, without and with kernels, and the largest batch that fits.

    Counts of training pairs are those of ARC-AGI-1, unless --measure reads the data file. On a CPU torch's own
    allocations are measured, by its profiler.
    """
    from hrm_core.recipe.lay import build_recipe

    named = bool(words) and "=" not in words[0]
    recipe = build_recipe(words[0] if named else "EXP-00", list(words[1:] if named else words)).recipe
    limit = limit_gib or recipe.memory.limit_gib or DEFAULT_LIMIT_GIB
    found = predictions(recipe, device, limit)
    measured = _measure(recipe, data) if measure else None
    if as_json:
        report = {"experiment": recipe.experiment, "device": device, "limit_gib": limit, **found, "measured": measured}
        print_json(report)
        return
    print_prediction(found, device, limit)
    if measured is not None:
        print_measured(measured)


def predictions(recipe: Recipe, device: DeviceKind, limit_gib: float) -> dict[str, Any]:
    """ "eager" and "kernels" (null on a CPU): parts, peak, where it is, and the largest `training.batch`.

    saving_host_bytes: what a checkpoint under way holds on the host, in no peak.
    """
    from hrm_core.recipe.memory import largest_piece, largest_step, plan_memory, setting_of
    from hrm_core.recipe.memory_saving import saving_bytes

    found: dict[str, Any] = {"saving_host_bytes": saving_bytes(recipe, setting_of(recipe, device, False))}
    for name, kernels in (("eager", False), ("kernels", True)):
        if kernels and device == "cpu":
            found[name] = None
            continue
        setting = setting_of(recipe, device, kernels)
        piece = largest_piece(recipe, setting, limit_gib * GIB)
        found[name] = {
            **plan_json(plan_memory(recipe, setting)),
            "largest_batch_same_slots": None if piece is None else list(piece),
            "largest_batch_one_piece": largest_step(recipe, setting, limit_gib * GIB),
        }
    return found


def plan_json(plan: MemoryPlan) -> dict[str, Any]:
    """Plain values of a plan."""
    return {
        "parts": plan.parts,
        "peak_bytes": plan.peak,
        "peak_gib": round(plan.peak_gib, 3),
        "moment": plan.moment,
        "slots": {str(side): count for side, count in plan.slots.items()},
    }


def print_prediction(found: dict[str, Any], device: str, limit_gib: float) -> None:
    """A table of the parts, and what fits."""
    titles = {"eager": "references", "kernels": "kernels"}
    plans = {name: found[name] for name in titles if found[name] is not None}
    names = list(dict.fromkeys(part for plan in plans.values() for part in plan["parts"]))
    rows = [[name, *(f"{plan['parts'].get(name, 0) / GIB:.3f}" for plan in plans.values())] for name in names]
    rows.append(["peak", *(f"{plan['peak_bytes'] / GIB:.3f}" for plan in plans.values())])
    print_table([f"GiB, {device}, predicted", *(titles[name] for name in plans)], rows)
    for name, plan in plans.items():
        piece, step = plan["largest_batch_same_slots"], plan["largest_batch_one_piece"]
        same = f"batch {piece[0]} x {piece[1]}" if piece else "none"
        print_line(
            f"{titles[name]}: peak at the {plan['moment']}; in {limit_gib:g} GiB fit {same} for these slots, "
            f"batch {step or 'none'} x 1 at most"
        )
    where = "on top of the peak" if device == "cpu" else "of the host's memory (pinned), none of the GPU's"
    print_line(f"a checkpoint under way holds {found['saving_host_bytes'] / GIB:.3f} GiB {where}")


def _measure(recipe: Recipe, data: Path | None) -> dict[str, Any]:
    # The profiler's own log, two lines on stderr, is off before torch is loaded.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    import torch

    from hrm_core.cli.run_commands import ensure_data
    from hrm_core.data.dataset import load_dataset
    from hrm_core.training.memory_benchmark import measure_peak
    from hrm_core.training.setup import choose_device

    dataset = load_dataset(ensure_data(recipe.data.source, data), recipe.data, input=recipe.input)
    chosen = choose_device(recipe.training)
    torch.set_num_threads(chosen.threads)
    peak = measure_peak(recipe, dataset, chosen)
    return {
        "device": chosen.device.type,
        "dtype": str(chosen.dtype).removeprefix("torch."),
        "predicted": plan_json(peak.plan),
        "predicted_bytes": peak.predicted,
        "measured_bytes": peak.measured,
        "difference_percent": round(100 * peak.difference, 2),
    }


def print_measured(measured: dict[str, Any]) -> None:
    """One line: predicted and measured on this machine."""
    what = "torch's allocations" if measured["device"] == "cpu" else "allocated, without the context"
    print_line(
        f"measured here ({measured['device']}, {measured['dtype']}, {what}): "
        f"{measured['measured_bytes'] / GIB:.3f} GiB, predicted {measured['predicted_bytes'] / GIB:.3f} GiB "
        f"({measured['difference_percent']:+.1f} %)"
    )
