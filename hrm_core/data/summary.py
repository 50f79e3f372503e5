"""A data set in numbers, for `hrm data info`. Dataset -> a plain dictionary, and lines and rows of text of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from hrm_core.data import schema
from hrm_core.data.dataset import Dataset
from hrm_core.data.descriptors import SYMMETRIES
from hrm_core.data.families import FAMILIES
from hrm_core.data.lanes import LanePairs
from hrm_core.data.plan_families import plan_family_counts


def summarize(path: Path, dataset: Dataset, num_bytes: int) -> dict[str, Any]:
    """Plain values only. Tokens are cells of the canvases, means over pairs; `eval_outputs` and `val_outputs` say how
    many test outputs their canvas can hold, `duplicates` how many tests equal a training pair."""
    pairs = {split: {str(side): lane.num_pairs for side, lane in _lanes(dataset, split)} for split in schema.SPLITS}
    tasks = dataset.tasks
    return {
        "file": str(path),
        "bytes": num_bytes,
        "digest": dataset.digest,
        "sources": dataset.provenance["sources"],
        "tasks": {
            "training": int((~tasks.evaluation).sum()),
            "evaluation": int(tasks.evaluation.sum()),
        },
        "pairs": {split: sum(sides.values()) for split, sides in pairs.items()},
        "pairs_by_canvas": pairs,
        "mean_tokens": {split: _mean_tokens(dataset.split(split)) for split in schema.SPLITS},
        "val_outputs": dataset.coverage["val"],
        "eval_outputs": dataset.coverage["eval"],
        "duplicates": {
            split: int(sum(lane.duplicate.sum() for _, lane in _lanes(dataset, split))) for split in ("val", "eval")
        },
        "families": family_counts(dataset),
        "plan_families": plan_family_counts(dataset.tasks),
        "descriptors": _descriptor_counts(dataset),
        "objects": len(dataset.objects["task"]),
        "curriculum": _curriculum(dataset),
    }


def _lanes(dataset: Dataset, split: str) -> list[tuple[int, LanePairs]]:
    return sorted(dataset.split(split).items())


def _mean_tokens(lanes: dict[int, LanePairs]) -> float | None:
    """Mean cells of canvas over the pairs of all lanes; None if there are none."""
    count = sum(lane.num_pairs for lane in lanes.values())
    return round(sum(side * side * lane.num_pairs for side, lane in lanes.items()) / count, 1) if count else None


def family_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """For each family, how many training and evaluation tasks have it."""
    evaluation = dataset.tasks.evaluation
    counts = {}
    for number, name in enumerate(FAMILIES):
        member = (dataset.tasks.families >> number & 1).bool()
        counts[name] = {"training": int((member & ~evaluation).sum()), "evaluation": int((member & evaluation).sum())}
    return counts


def _descriptor_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """How many tasks have each value; symmetries by name, large counts together as "9+"."""
    table = dataset.tasks.descriptors
    symmetry = Counter(SYMMETRIES[number][0] for number in table["symmetry"].tolist())
    counts = {"symmetry": {name: symmetry[name] for name, _ in SYMMETRIES}}
    for name in ("translation", "objects_changed", "recolored"):
        values = Counter(min(value, 9) for value in table[name].tolist())
        counts[name] = {"9+" if value == 9 else str(value): values[value] for value in sorted(values)}
    return counts


def _curriculum(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Tasks and training pairs that belong to each stage (a stage holds the smaller ones too)."""
    stage = dataset.tasks.stage
    lanes = list(dataset.train.values())
    return {
        str(limit): {
            "tasks": int((stage <= limit).sum()),
            "training_pairs": int(sum((lane.stage <= limit).sum() for lane in lanes)),
        }
        for limit in schema.CURRICULUM_STAGES
    }


def summary_lines(summary: dict[str, Any]) -> list[str]:
    """The summary in a few lines of text."""
    sources = ", ".join(
        f"{source['name']} ({source['tasks']} tasks" + (f", {source['skipped']} skipped)" if source["skipped"] else ")")
        for source in summary["sources"]
    )
    tokens = {split: "-" if mean is None else f"{mean:.0f}" for split, mean in summary["mean_tokens"].items()}
    lines = [
        f"file      {summary['file']}, {summary['bytes'] / 1e6:.1f} MB",
        f"digest    {summary['digest'][:16]}",
        f"sources   {sources}",
        f"tasks     {summary['tasks']['training']} training, {summary['tasks']['evaluation']} evaluation",
        "pairs     " + ", ".join(f"{count} {split}" for split, count in summary["pairs"].items()),
        "tokens    mean per pair: " + ", ".join(f"{mean} {split}" for split, mean in tokens.items()),
    ]
    for split in ("val", "eval"):
        outputs = summary[f"{split}_outputs"]
        if outputs["of"]:
            rest = f", {summary['duplicates'][split]} equal a training pair"
            lines.append(f"{split:<9} {outputs['fit']} of {outputs['of']} test outputs fit their canvas{rest}")
    lines.append(
        "protocol  transductive: demonstrations of evaluation tasks are trained on, as in HRM; their tests never are"
    )
    return lines


def lane_rows(dataset: Dataset) -> list[list[str]]:
    """Pairs per canvas and split, as rows of text."""
    sides = sorted(set().union(*(dataset.split(split) for split in schema.SPLITS)))
    return [
        [f"{side}x{side}"]
        + [str(lanes[side].num_pairs) if side in (lanes := dataset.split(split)) else "-" for split in schema.SPLITS]
        for side in sides
    ]


def family_rows(dataset: Dataset) -> list[list[str]]:
    """Families with their counts, as rows of text."""
    return [[name, str(count["training"]), str(count["evaluation"])] for name, count in family_counts(dataset).items()]


def duplicate_rows(dataset: Dataset) -> list[list[str]]:
    """Every flagged test: split, task, number of the test."""
    rows = []
    for split in ("val", "eval"):
        for _, lane in _lanes(dataset, split):
            for task, pair in zip(lane.task[lane.duplicate].tolist(), lane.pair[lane.duplicate].tolist(), strict=True):
                test = pair - int(dataset.tasks.num_demonstrations[task])
                rows.append([split, dataset.tasks.ids[task], str(test + 1)])
    return rows
