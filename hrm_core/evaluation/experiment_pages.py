"""The pages of a sweep: a table with verdicts, one page an experiment with its curves, and the checklist as CSV.

Evaluation room: the document of `comparison.py` and its arms -> files under a folder such as docs/experiments, each
written whole. Everything is made from run folders and made anew each time; what a person learned goes into
`notes/<experiment>.md` there, which is taken into the page and never written. Failures stay in the tables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrm_core.evaluation.blocks import Block, markdown
from hrm_core.evaluation.checklist import checklist_csv
from hrm_core.evaluation.comparison_arms import Arm
from hrm_core.evaluation.comparison_runs import RunFacts, exact_of, trivial_of
from hrm_core.evaluation.comparison_words import (
    amount,
    arm_block,
    comparison_blocks,
    missing_block,
    percent,
    sweep_block,
    trivial_words,
)
from hrm_core.evaluation.curves_svg import Curve, draw
from hrm_core.recipe.experiments import known_experiment
from hrm_core.runs.atomic import explain_os_error, write_bytes
from hrm_core.runs.files import mapping, number, read_small, string

Document = dict[str, Any]
_PACKAGES = ("python", "hrm-console", "torch", "triton")


def write_report(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """One Markdown file. UserError (1) if it cannot be written."""
    _write(path, f"# {title}\n\n{markdown(blocks)}")


def write_pages(folder: Path, document: Document, arms: Sequence[Arm]) -> None:
    """README.md, checklist.csv, and for each arm a page and two curves. `arms[0]` is the control."""
    told = [document["control"], *document["arms"]]
    for arm, said in zip(arms, told, strict=True):
        stem = page_name(arm.name)
        group = [(0, arms[0])] if arm is arms[0] else [(0, arms[0]), (1, arm)]
        _write(folder / f"{stem}-loss.svg", loss_chart(group))
        _write(folder / f"{stem}-exact.svg", exact_chart(group))
        _write(folder / f"{stem}.md", _page(folder, arm, said, document))
    _write(folder / "checklist.csv", checklist_csv(document, arms))
    _write(folder / "README.md", _readme(document, arms))


def page_name(arm: str) -> str:
    """The file name of an arm's page, without ending."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", arm).strip("-.")[:80] or "arm"


def _readme(document: Document, arms: Sequence[Arm]) -> str:
    links = [f"- [{arm.name}]({page_name(arm.name)}.md)" for arm in arms]
    blocks = [sweep_block(document), *missing_block(document.get("missing", ()))]
    return (
        f"# Experiments: sweep {document.get('sweep', '')}\n\n"
        f"Written by `hrm compare --sweep {document.get('sweep', '')} --report`; what is in `notes/` is by hand. The "
        "unit of a verdict is the run, its quantity the val `exact` of the last step. "
        "[checklist.csv](checklist.csv) has one line a run.\n\n"
        f"{markdown(blocks)}\n## Pages\n\n" + "\n".join(links) + "\n\n" + markdown(comparison_blocks(document))
    )


def _page(folder: Path, arm: Arm, said: Document, document: Document) -> str:
    experiment = known_experiment(arm.recipe.experiment)
    stem = page_name(arm.name)
    parts = [f"# {arm.name}" + (f": {said['title']}" if said["title"] else "") + "\n"]
    if experiment is not None:
        about = (
            f"**Hypothesis.** {experiment.hypothesis}",
            f"**Set-up.** {experiment.setup} Preset `{arm.recipe.preset}`.",
            f"**To watch for.** {experiment.watch_for}",
        )
        parts.append("\n\n".join(about) + "\n")
    if arm.name != document["control"]["name"]:
        block = arm_block(said)
        parts.append(markdown([Block(f"Against {document['control']['name']}", block.lines)]))
    parts.append(markdown([_seeds_block(said), _origin_block(arm.runs)]))
    parts.append(f"## Curves\n\n![Training loss]({stem}-loss.svg)\n\n![Val exact]({stem}-exact.svg)\n")
    learned = read_small(folder / "notes" / f"{stem}.md", 2**20)
    if learned is not None:
        parts.append(f"## What was learned\n\n{learned.decode('utf-8', errors='replace').strip()}\n")
    return "\n".join(parts)


def _seeds_block(said: Document) -> Block:
    rows = tuple(
        (
            str(run["seed"]),
            run["run_id"],
            run["state"],
            percent(run["score"]),
            trivial_words(run["trivial"]),
            percent(run["best"]) + (f" at {run['best_step']}" if run["best_step"] is not None else ""),
            amount(run["end"]["step"]) if run["end"] else "-",
            amount(run["end"]["segments"]) if run["end"] else "-",
            amount(run["end"]["seconds"]) if run["end"] else "-",
        )
        for run in said["runs"]
    )
    columns = ("seed", "run", "state", "exact %, last step", "trivial", "best %", "steps", "segments", "seconds")
    return Block("Seeds", (), columns, rows)


def _origin_block(runs: Sequence[RunFacts]) -> Block:
    """Where the numbers come from: device, versions, commit, dates; one line for each that is different."""
    lines = []
    for run in runs:
        versions = mapping(run.run_json, "versions")
        packages = ", ".join(f"{name} {versions[name]}" for name in _PACKAGES if versions.get(name))
        device = string(run.run_json, "device") or "device unknown"
        commit = (string(run.run_json, "commit") or "")[:12] or "no checkout"
        day = (string(run.run_json, "created_utc") or "")[:10] or "date unknown"
        threads = f", {run.run_json['threads']} threads" if run.run_json.get("threads") else ""
        lines.append(f"{device}{threads}, {run.run_json.get('dtype')}; {packages}; commit {commit}; {day}")
    return Block("Made on", tuple(dict.fromkeys(lines)))


def loss_chart(groups: Sequence[tuple[int, Arm]]) -> str:
    """The training loss of every run, a colour for each arm."""
    curves = [
        Curve(arm.name, [(float(row["step"]), number(row, "loss")) for row in run.metrics], group)
        for group, arm in groups
        for run in arm.runs
    ]
    return draw("Training loss", curves)


def exact_chart(groups: Sequence[tuple[int, Arm]]) -> str:
    """Val `exact` of every full validation in percent, with the best trivial predictor's as a dashed line."""
    curves = []
    trivial = None
    for group, arm in groups:
        for run in arm.runs:
            shares = [(float(row["step"]), exact_of(row)) for row in run.full]
            points = [(step, None if share is None else 100 * share) for step, share in shares]
            curves.append(Curve(arm.name, points, group))
            trivial = trivial or (trivial_of(run.full[-1]) if run.full else None)
    guide = None if trivial is None else (f"trivial ({trivial[0]})", 100 * trivial[1])
    return draw("Val exact, full validations", curves, " %", guide)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, text.encode("utf-8"))
    except OSError as error:
        raise explain_os_error(error) from error
