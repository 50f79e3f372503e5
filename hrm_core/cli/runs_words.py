"""A run in words: the lines of `hrm list`, `hrm show` and `hrm tail`.

Command-line room. RunView and rows from files -> plain text and JSON values; pure functions, so that they can be
tested without a terminal. No number of an evaluation stands without the best trivial predictor's on the same samples.
Text from files is cleaned where it is printed (`options.print_line`, `options.print_table`), not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hrm_core.runs.files import Row, integer, items, mapping, number, string
from hrm_core.runs.reader import RunView, best_of, best_trivial, lift_of

NOTHING: Final = "-"
STATE_COLORS: Final = {
    "running": "green",
    "starting": "cyan",
    "stopping": "cyan",
    "paused": "magenta",
    "stalled": "yellow",
    "lost": "red",
    "failed": "red",
}
LIST_COLUMNS: Final = ("run", "state", "step", "loss", "exact % (trivial)", "lift", "segments/s", "time left", "alarms")
_METRIC_NAMES: Final = {
    "exact": "exact grid",
    "token_exact": "all label tokens",
    "pass_at_1": "pass@1",
    "pass_at_2": "pass@2",
    "pass_at_2_per_test": "pass@2 per test",
    "cell_accuracy": "cells",
    "color_accuracy": "colours in the grid",
    "changed_cell_accuracy": "changed cells",
    "shape_accuracy": "shape",
    "padded_accuracy": "padded 30x30",
}


def percent(value: float | None) -> str:
    """A share as percent with one decimal, without the sign."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """A difference of shares in points, with its sign."""
    return NOTHING if value is None else f"{100 * value:+.1f}"


def short(value: float | None) -> str:
    """A quantity with three significant digits."""
    return NOTHING if value is None else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """A length of time in two units at most: `45 s`, `3 min 20 s`, `2 h 5 min`, `1 d 4 h`."""
    if seconds is None or seconds < 0:
        return NOTHING
    whole = round(seconds)
    for size, name, small, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"


def summary(view: RunView) -> dict[str, Any]:
    """One run of `hrm list --json`: plain values, None where the files do not say (yet)."""
    trivial = best_trivial(view.evaluation, "exact")
    return {
        "run_id": view.run_id,
        "folder": str(view.folder),
        "experiment": view.experiment,
        "state": view.state,
        "step": view.step,
        "max_steps": view.max_steps,
        "loss": number(view.metrics, "loss"),
        "exact": number(mapping(view.evaluation, "metrics"), "exact"),
        "exact_trivial": None if trivial is None else {"name": trivial[0], "value": trivial[1]},
        "lift": lift_of(view.evaluation, "exact"),
        "evaluation_kind": string(view.evaluation, "kind"),
        "evaluation_step": integer(view.evaluation, "step"),
        "samples_per_sec": number(view.status, "samples_per_sec") if view.is_live else None,
        "eta_s": number(view.status, "eta_s") if view.is_live else None,
        "best": view.best,
        "alarms": list(view.alarms),
        "created_utc": string(view.run_json, "created_utc"),
        "where": view.where,
    }


def list_table(views: Sequence[RunView]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Titles and rows of `hrm list`; with the column `where` as soon as a run is not of this machine."""
    rows = [list_cells(view) for view in views]
    if not any(view.where for view in views):
        return LIST_COLUMNS, rows
    return (*LIST_COLUMNS, "where"), [[*row, view.where] for row, view in zip(rows, views, strict=True)]


def list_cells(view: RunView) -> list[str]:
    """One row of `hrm list`."""
    told = summary(view)
    trivial = told["exact_trivial"]
    exact = percent(told["exact"])
    return [
        view.run_id,
        view.state,
        _step_of(view),
        short(told["loss"]),
        exact if exact == NOTHING else f"{exact} ({percent(trivial and trivial['value'])})",
        points(told["lift"]),
        short(told["samples_per_sec"]),
        duration(told["eta_s"]),
        ", ".join(alarm["name"] for alarm in view.alarms),
    ]


def _step_of(view: RunView) -> str:
    if view.step is None:
        return NOTHING
    return f"{view.step}/{view.max_steps}" if view.max_steps else str(view.step)


def status_lines(view: RunView) -> list[str]:
    """The status of a run in words, a line for each matter."""
    status, metrics = view.status, view.metrics
    done = f", {100 * view.step / view.max_steps:.1f} %" if view.step is not None and view.max_steps else ""
    reason = string(view.result, "reason", 500)
    lines = [
        f"run         {view.run_id}",
        f"folder      {view.folder}",
        f"experiment  {view.experiment or 'unknown'}" + _origin(view),
        f"state       {view.state}" + (f": {reason}" if reason else ""),
        *([f"where       {view.where}"] if view.where else []),
        f"step        {_step_of(view).replace('/', ' of ')}{done}",
    ]
    spent = number(status, "elapsed_s")
    if spent is not None:
        lines.append(f"time spent  {duration(spent)}")
    if view.is_live:
        age = "" if view.heartbeat_age_s is None else f", last sign of life {duration(view.heartbeat_age_s)} ago"
        lines.append(f"time left   {duration(number(status, 'eta_s'))}{age}")
        speeds = (("segments/s", number(status, "samples_per_sec")), ("steps/s", number(status, "steps_per_sec")))
        lines.append("speed       " + ", ".join(f"{short(value)} {name}" for name, value in speeds))
    training = (("loss", "loss"), ("learning rate", "lr"), ("gradient norm", "grad_norm"))
    if metrics is not None:
        said = ", ".join(f"{name} {short(number(metrics, key))}" for name, key in training)
        lines.append(f"training    {said} at step {integer(metrics, 'step')}")
    kept = integer(status, "last_checkpoint_step")
    if kept is not None:
        lines.append(f"checkpoint  at step {kept}")
    if view.best is not None:
        metric, value, step = string(view.best, "metric"), number(view.best, "value"), integer(view.best, "step")
        name, beside = _METRIC_NAMES.get(metric or "", metric), _beside(view.evaluation, metric or "")
        lines.append(f"best        {name} {percent(value)} % at step {step}{beside}")
    if status.get("warming_up") is True:
        lines.append("            warming up: alarms about learning begin after a tenth of the run")
    return lines


def _beside(row: object, metric: str) -> str:
    """What a trivial predictor gets on the samples of a validation, in brackets; empty where the row has no such."""
    trivial = best_trivial(row, metric)
    return "" if trivial is None else f" (best trivial {percent(trivial[1])} %)"


def _origin(view: RunView) -> str:
    recipe = mapping(view.run_json, "recipe")
    seed = integer(mapping(recipe, "training"), "seed")
    said = [f"preset {string(recipe, 'preset')}"] if string(recipe, "preset") else []
    said += [f"seed {seed}"] if seed is not None else []
    return f" ({', '.join(said)})" if said else ""


def evaluation_title(row: Row) -> str:
    """Which validation it was, on what, with which weights."""
    about = [f"{count} {name}" for name in ("pairs", "tasks") if (count := integer(row, name)) is not None]
    split, weights = string(row, "split"), string(row, "weights")
    about += [f"split {split}"] if split else []
    about += [f"{weights} weights"] if weights else []
    kind = string(row, "kind") or "a"
    return f"{kind} validation at step {integer(row, 'step')}" + (f": {', '.join(about)}" if about else "")


def evaluation_table(row: Row) -> list[list[str]]:
    """A row for each metric: its value, the best trivial predictor's on the same samples, lift, without duplicates."""
    metrics, without = mapping(row, "metrics"), mapping(row, "without_duplicates")
    names = [name for name in _METRIC_NAMES if name in metrics] + sorted(set(metrics) - set(_METRIC_NAMES))
    table = []
    for name in names:
        value, trivial = number(metrics, name), best_trivial(row, name)
        if value is None:
            continue
        beside = NOTHING if trivial is None else f"{percent(trivial[1])} ({trivial[0]})"
        alone = percent(number(without, name))
        table.append([_METRIC_NAMES.get(name, name), percent(value), beside, points(lift_of(row, name)), alone])
    return table


EVALUATION_COLUMNS: Final = ("metric, in %", "model", "best trivial", "lift", "without duplicates")


def evaluation_lines(row: Row) -> list[str]:
    """What a validation says beside its metrics: reaction to input and identity, calibration, notes."""
    lines = []
    for what in ("input", "identity"):
        share, gain = number(row, f"{what}_sensitivity"), number(row, f"{what}_gain")
        if share is not None:
            lines.append(
                f"{percent(share)} % of the grids change when the {what} is swapped; "
                f"its own {what} gives {points(gain)} points of cells."
            )
    calibration = mapping(row, "calibration")
    if number(calibration, "ece") is not None:
        lines.append(
            f"halting confidence: calibration error {percent(number(calibration, 'ece'))} %, "
            f"AUROC {short(number(calibration, 'auroc'))}, right in {percent(number(calibration, 'base_rate'))} %."
        )
    lines += thinking_lines(row) + analysis_lines(row)
    if isinstance(row.get("lost"), list) and isinstance(row.get("gained"), list):
        lines.append(f"since the validation before: {len(row['gained'])} tests gained, {len(row['lost'])} lost.")
    adaptation = mapping(row, "adaptation")
    if adaptation:
        lines.append(
            f"test-time training took {number(adaptation, 'seconds') or 0:.1f} s "
            f"for {integer(adaptation, 'tasks')} tasks."
        )
    oversize = integer(row, "oversize")
    if oversize:
        lines.append(f"{oversize} targets are larger than their canvas and count as wrong.")
    return lines + [note[:500] for note in items(row, "notes")[:20] if isinstance(note, str)]


def thinking_lines(row: Row) -> list[str]:
    """What the halting analyses of a full validation found, or why there is nothing to find."""
    found = mapping(row, "halting_analysis")
    if not found:
        return []
    entropy = [value for value in items(found, "entropy")[:128] if isinstance(value, int | float)]
    lines = []
    if entropy:
        lines.append("entropy of halting by segment, in nats: " + " ".join(f"{value:.2f}" for value in entropy) + ".")
    reason = string(found, "not_measurable", 200)
    if reason is not None:
        return [*lines, f"halting: not measurable, {reason}."]
    depth = number(mapping(found, "depth_error"), "correlation")
    said = "nothing varies" if depth is None else f"correlation {depth:+.2f}"
    lines.append(f"depth of halting against error: {said}.")
    for name, what in (("saved", "halting at 0"), ("equal_accuracy", "halting at equal accuracy")):
        part = mapping(found, name)
        if part:
            lines.append(
                f"{what} (threshold {short(number(part, 'threshold'))}) saves {percent(number(part, 'share'))} % "
                f"of the segments; exact {percent(number(part, 'exact'))} % against "
                f"{percent(number(part, 'exact_without'))} % without{_beside(row, 'exact')}."
            )
    if not mapping(found, "equal_accuracy"):
        lines.append("no threshold saves segments at equal accuracy.")
    depths = mapping(found, "families")
    shown = ", ".join(f"{name} {short(number(depths, name))}" for name in sorted(depths)[:40])
    return lines + ([f"mean segment of halting by family: {shown}."] if shown else [])


def analysis_lines(row: Row) -> list[str]:
    """What `hrm eval` measures on request: copies in permuted colours, sharpness, latency."""
    lines = []
    copies = mapping(row, "color_copies")
    if copies:
        lines.append(
            f"{integer(copies, 'copies')} copies in permuted colours: exact {percent(number(copies, 'mean'))} %"
            f"{_beside(row, 'exact')}, "
            f"variance over copies {short(number(copies, 'variance'))}, within a test "
            f"{short(number(copies, 'within_test_variance'))}; {percent(number(copies, 'agree'))} % of the tests agree."
        )
        identical = percent(number(copies, "identical_by_construction"))
        unused = "" if copies.get("canonical") is True else " (not in use here)"
        lines.append(f"canonical colours make the copies of {identical} % of the tasks identical{unused}.")
    sharpness = mapping(row, "sharpness")
    lines += [
        f"weights moved by {short(number(part, 'radius'))} of their norm: loss {short(number(sharpness, 'loss'))} "
        f"rises by {short(number(part, 'mean_rise'))} (at most {short(number(part, 'largest_rise'))}) on "
        f"{integer(sharpness, 'pairs')} training pairs, rows of identity left as they are."
        for part in items(sharpness, "radii")[:20]
    ]
    latency = mapping(row, "latency")
    if latency:
        weights, rows = ((number(latency, key) or 0.0) / 2**20 for key in ("parameter_bytes", "identity_bytes"))
        lines.append(
            f"one puzzle at batch 1: {short(number(latency, 'mean_s'))} s ({string(latency, 'device', 20)}); "
            f"{integer(latency, 'parameters')} parameters in {short(weights)} MiB of {string(latency, 'dtype', 20)}, "
            f"identity rows in {short(rows)} MiB."
        )
    return lines


FAMILY_COLUMNS: Final = ("family", "pairs", "exact %", "95 % interval", "best trivial")


PLAN_FAMILY_COLUMNS: Final = ("the plan's family", *FAMILY_COLUMNS[1:])


def family_table(row: Row, key: str = "families") -> list[list[str]]:
    """A row for each family with any pairs: how many, the share exactly right, its Wilson interval, and what the best
    trivial predictor gets on these pairs (rows of earlier versions do not have it).

    `key`: families by computed label, or plan_families by the plan's names.
    """
    families = mapping(row, key)
    table = []
    for name in sorted(families):
        pairs = integer(families[name], "pairs")
        if pairs:
            low, high = number(families[name], "low"), number(families[name], "high")
            interval = f"{percent(low)} to {percent(high)}"
            trivial = best_of(mapping(families[name], "trivial"))
            beside = NOTHING if trivial is None else f"{percent(trivial[1])} ({trivial[0]})"
            table.append([name, str(pairs), percent(number(families[name], "exact")), interval, beside])
    return table


def alarm_lines(view: RunView) -> list[str]:
    """Each alarm as its sentence, and what to try below it."""
    lines = []
    for alarm in view.alarms:
        lines.append(f"! {alarm['name']}: {alarm['sentence']}")
        if alarm["advice"]:
            lines.append(f"  {alarm['advice']}")
    return lines


def metrics_line(row: Row) -> str:
    """One row of the training log."""
    parts = [f"step {integer(row, 'step')}"]
    for name, key in (("loss", "loss"), ("lr", "lr"), ("grad", "grad_norm"), ("segments/s", "samples_per_sec")):
        parts.append(f"{name} {short(number(row, key))}")
    accuracy = number(row, "token_accuracy")
    return "  ".join(parts) + ("" if accuracy is None else f"  tokens {percent(accuracy)} %")


def evaluation_line(row: Row) -> str:
    """One validation: loss, and exact with the best trivial predictor's."""
    value, trivial = number(mapping(row, "metrics"), "exact"), best_trivial(row, "exact")
    beside = "" if trivial is None else f" (best trivial {percent(trivial[1])} %)"
    mark = ", a new best" if row.get("best") is True else ""
    kind = string(row, "kind") or "a"
    loss = short(number(row, "loss"))
    return f"step {integer(row, 'step')}  {kind} validation: loss {loss}, exact {percent(value)} %{beside}{mark}"
