"""A comparison in words: the document of `comparison.py` -> blocks for the terminal, Markdown and the sweep's table.

Evaluation room; pure functions. No score stands without the best trivial one of the same tests. Shares are shown in
percent, differences in points. What is not measured says so. CSV is in `checklist.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hrm_core.evaluation.blocks import Block

Document = dict[str, Any]
NOT_MEASURED = "not measured"
_BY = {"steps": "equal steps", "seconds": "equal training time", "segments": "equal segments"}
_SHOWN_FAMILIES = 8
_SHOWN_TESTS = 12


def percent(value: float | None) -> str:
    """A share in percent."""
    return "-" if value is None else f"{100 * value:.1f}"


def _percent_or_none(value: float | None) -> str:
    return "no validation yet" if value is None else f"{percent(value)} %"


def points(value: float | None) -> str:
    """A difference in points."""
    return "-" if value is None else f"{round(100 * value, 1) + 0.0:+.1f}"


def amount(value: float | None, digits: int = 3) -> str:
    """A quantity with a few significant digits, whole numbers in full."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def score_words(arm: Document) -> str:
    """`10.1 % (trivial 0.9 %, copy)`: mean score of an arm beside the best trivial predictor."""
    mean = arm["score"]["mean"]
    return "no score" if mean is None else f"{percent(mean)} % ({trivial_words(arm['score']['trivial'])})"


def trivial_words(trivial: Document | None) -> str:
    """The best trivial value and whose it is."""
    return "trivial -" if trivial is None else f"trivial {percent(trivial['value'])} %, {trivial['name']}"


def _spread(arm: Document) -> str:
    spread, seeds = arm["score"]["sd"], len(arm["seeds"])
    between = "" if spread is None else f", SD between seeds {percent(spread)} points"
    return f"{seeds} seed{'' if seeds == 1 else 's'}{between}"


def difference_words(arm: Document) -> str:
    """In which settings an arm differs from the control."""
    changed = [f"{key} {before} -> {after}" for key, (before, after) in arm["difference"].items()]
    return "; ".join(changed) or "nothing but the seed"


def comparison_blocks(document: Document) -> list[Block]:
    """The whole comparison, the verdicts first."""
    tests, control = document["tests"], document["control"]
    head = [
        f"control {control['name']}: exact {score_words(control)}, {_spread(control)}",
        f"scored on {tests['pairs']} tests of {tests['tasks']} tasks ({tests['split']}), with the last step's weights",
    ]
    if control["null_check"] is not None:
        check = control["null_check"]
        head.append(
            f"the control against itself: of {check['choices']} ways to set 3 of its {check['seeds']} seeds against "
            f"the rest, {percent(check['share'])} % are called better or worse"
        )
    blocks = [Block("Verdicts", tuple(head)), *(arm_block(arm) for arm in document["arms"])]
    blocks += [cost_block(document), stability_block(document), described_block(document)]
    if document["notes"]:
        blocks.append(Block("To be said beside these numbers", tuple(document["notes"])))
    return blocks


def arm_block(arm: Document) -> Block:
    """One arm: score, verdict, the plan's rule, difference, equal points, families, tests."""
    lines = [f"exact {score_words(arm)}, {_spread(arm)}", f"verdict: {arm['verdict']['text']}"]
    if arm["cannot_act"]:
        lines.append(arm["cannot_act"])
    if arm["plan_rule"] is not None:
        lines.append(arm["plan_rule"]["text"])
    lines.append(f"differs in: {difference_words(arm)}")
    trivial = trivial_words(arm["score"]["trivial"])
    lines += [
        f"at {_BY[point['by']]} ({amount(point['at'])}): exact {_percent_or_none(point['arm'])} against "
        f"{_percent_or_none(point['control'])} ({trivial})"
        for point in arm["equal"]
        if point["at"] is not None
    ]
    lines += [family_words(arm), *_tests_words(arm["tests"])]
    return Block(arm["name"] + (f", {arm['title']}" if arm["title"] else ""), tuple(lines))


def family_words(arm: Document) -> str:
    """The families that moved most; those whose intervals are apart first said."""
    moved = [family for family in arm["families"] if family["change"]]
    if not moved:
        return "families moved: none" if arm["families"] else f"families moved: {NOT_MEASURED}"
    shown = [
        f"{family['family']} {points(family['change'])} ({family['tests']} tests"
        + (", intervals apart)" if family["apart"] else ")")
        for family in moved[:_SHOWN_FAMILIES]
    ]
    more = f", {len(moved) - len(shown)} more" if len(moved) > len(shown) else ""
    return f"families moved, in points (this describes, it decides nothing): {', '.join(shown)}{more}"


def _tests_words(tests: Document | None) -> list[str]:
    """The paired table of two checkpoints, and which tests changed."""
    if tests is None:
        return [f"tests gained and lost: {NOT_MEASURED}, no predictions are kept"]
    first, second = tests["checkpoints"]
    lines = [
        f"{tests['title']}, {second} against {first}: both solve {len(tests['both'])} tests, gained "
        f"{len(tests['gained'])}, lost {len(tests['lost'])}, neither {tests['neither']}; McNemar, exact, "
        f"p = {tests['p_value']:.2g}"
    ]
    for name in ("gained", "lost"):
        if tests[name]:
            more = ", ..." if len(tests[name]) > _SHOWN_TESTS else ""
            lines.append(f"{name}: {', '.join(tests[name][:_SHOWN_TESTS])}{more}")
    return lines + _changed_families(tests["families"])


def _changed_families(families: Sequence[Document]) -> list[str]:
    """The families in which any test was gained or lost, in one line."""
    changed = [family for family in families if family["gained"] or family["lost"]]
    if not changed:
        return []
    shown = [f"{family['family']} +{family['gained']} -{family['lost']}" for family in changed[:_SHOWN_FAMILIES]]
    more = f", {len(changed) - len(shown)} more" if len(changed) > len(shown) else ""
    return [f"gained and lost by family: {', '.join(shown)}{more}"]


def _everyone(document: Document) -> list[Document]:
    return [document["control"], *document["arms"]]


def cost_block(document: Document) -> Block:
    """What the best cost, and what a step does."""
    rows = []
    for arm in _everyone(document):
        best, memory = arm["to_best"], arm["peak_memory_gib"]
        rows.append(
            (
                arm["name"],
                amount(best["step"]),
                amount(best["segments"]),
                amount(best["seconds"]),
                NOT_MEASURED if best["joules"] is None else amount(best["joules"]),
                amount(arm["seconds_per_step"]),
                amount(arm["parameters"]),
                NOT_MEASURED if memory is None else f"{memory:.2f}",
            )
        )
    return Block(
        "Cost",
        ("to best: the first full validation within half a standard error of the best; means over the seeds",),
        ("arm", "steps to best", "segments", "seconds", "joules", "s/step", "parameters", "memory GiB"),
        tuple(rows),
    )


def stability_block(document: Document) -> Block:
    """How calm the runs were; means over the seeds."""
    rows = []
    for arm in _everyone(document):
        calm, lost = arm["stability"], arm["lost_since_previous"]
        rows.append(
            (
                arm["name"],
                amount(calm["loss_spikes"]),
                amount(calm["clip_events"]),
                amount(calm["grad_norm_mean"]),
                amount(calm["grad_norm_variance"]),
                amount(calm["nonfinite_steps"]),
                percent(arm["roughness"]),
                percent(arm["spread_of_last_five"]),
                NOT_MEASURED if lost is None else amount(lost),
            )
        )
    columns = (
        "arm", "loss spikes", "clipped steps", "grad norm", "its variance", "not finite",
        "roughness, points", "last five, points", "tests lost at the last validation",
    )  # fmt: skip
    return Block("Stability", knob_lines(document), columns, tuple(rows))


def described_block(document: Document) -> Block:
    """The other numbers of the last validation, one column an arm; metrics beside their trivial value."""
    everyone = _everyone(document)
    names = list(dict.fromkeys(name for arm in everyone for name in arm["described"]))

    def cell(arm: Document, name: str) -> str:
        found = arm["described"].get(name)
        if found is None:
            return "-"
        beside = "" if found["trivial"] is None else f" (trivial {found['trivial']:.3f})"
        return f"{found['value']:.3f}{beside}"

    rows = tuple((name, *(cell(arm, name) for arm in everyone)) for name in names)
    return Block(
        "The last validation otherwise",
        ("means over the seeds; these describe, only exact decides",) if rows else (),
        ("measure", *(arm["name"] for arm in everyone)),
        rows,
    )


_CALM = {
    "loss_spikes": "loss spikes",
    "clip_events": "clipped steps",
    "grad_norm_variance": "variance of the gradient norm",
    "nonfinite_steps": "steps not finite",
}


def knob_lines(document: Document) -> tuple[str, ...]:
    """Which settings go with more or less calm than the control's: what stands together, not what causes what."""
    lines = []
    control = document["control"]["stability"]
    for key, name in _CALM.items():
        for word, sign in (("more", 1), ("less", -1)):
            found = [
                arm for arm in document["arms"] if _clearly(control[key], arm["stability"][key], sign) and arm["seeds"]
            ]
            if found:
                knobs = "; ".join(f"{arm['name']} ({', '.join(arm['difference']) or 'the seed'})" for arm in found)
                lines.append(f"{word} {name} than the control's {amount(control[key])} goes with: {knobs}")
    return tuple(lines)


def _clearly(control: float | None, value: float | None, sign: int) -> bool:
    """Whether a count is at least half as much again as the control's (or two thirds of it at most)."""
    if control is None or value is None or control == value:
        return False
    return value > 1.5 * control + 1e-12 if sign > 0 else value < control / 1.5


def sweep_block(document: Document) -> Block:
    """One line an arm: what the whole sweep says."""
    rows = []
    for arm in _everyone(document):
        is_control = arm is document["control"]
        calm = arm["stability"]
        verdict = "the control" if is_control else arm["verdict"]["text"]
        rows.append(
            (
                arm["name"],
                str(len(arm["seeds"])),
                score_words(arm),
                verdict + (f" ({arm['cannot_act']})" if arm["cannot_act"] else ""),
                "-" if is_control else _short_families(arm),
                amount(arm["to_best"]["step"]),
                amount(arm["seconds_per_step"]),
                f"{amount(calm['loss_spikes'])} spikes, {amount(calm['clip_events'])} clipped, "
                f"{amount(calm['nonfinite_steps'])} not finite",
                "-" if is_control else ", ".join(arm["difference"]),
            )
        )
    columns = (
        "arm", "seeds", "exact (trivial)", "verdict", "families moved, points", "steps to best", "s/step",
        "stability, mean of a run", "settings changed",
    )  # fmt: skip
    return Block("The sweep", (), columns, tuple(rows))


def _short_families(arm: Document) -> str:
    moved = [family for family in arm["families"] if family["change"]][:3]
    return ", ".join(f"{family['family']} {points(family['change'])}" for family in moved) or "none"


def missing_block(missing: Sequence[Document]) -> list[Block]:
    """Runs without a final score: kept, and named."""
    if not missing:
        return []
    rows = tuple(
        (entry["run_id"], entry["experiment"], str(entry["seed"]), entry["state"], entry["reason"] or "-")
        for entry in missing
    )
    return [Block("Runs without a final score", (), ("run", "experiment", "seed", "state", "reason"), rows)]
