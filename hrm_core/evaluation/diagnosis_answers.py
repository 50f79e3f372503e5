"""What a model's answers show: one answer for all, blind to input or identity, bound to copies, colours or sizes.

Evaluation room: evaluation rows and prediction records -> findings. `copy_bound`, `color_bound` and `size_bound` are
about wrong tests: an answer that repeats the input; of the right shape with most wrong cells in a wrong colour where
the target has one too; of another shape. A wrong test counts for one of them at most, in this order; what is left
(cells drawn that should be empty, or the reverse) is none of them. Each is found from a quarter of the wrong tests on.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrm_core.evaluation.alarms_training import halting_collapsed, percent
from hrm_core.evaluation.diagnosis_material import Finding, Material, Puzzle, make_finding
from hrm_core.evaluation.halting import first_halts
from hrm_core.evaluation.remedies import causes, remedy
from hrm_core.runs.files import Row, integer, items, mapping, number, string

BOUND_SHARE = 0.25
FEWEST_FAMILY = 5
SMALL_GAIN = 0.01
CAUSE = {"copy_bound": "repeats the input", "color_bound": "has wrong colours", "size_bound": "has a wrong size"}

Cells = NDArray[np.uint8]


def answer_findings(material: Material) -> list[Finding]:
    """All findings about answers, in no order."""
    constant = _constant_output(material)
    found = [constant, _blind("input", material, constant), _blind("identity", material, constant)]
    if constant is None:
        found += _bound(material)
    return [finding for finding in [*found, _halting(material), _families(material)] if finding is not None]


def read_cells(record: Row, key: str) -> Cells | None:
    """A grid of a record, (height, width) uint8; (0, 0) if it is empty, None if it is no grid."""
    rows = items(record, key)
    if not all(isinstance(row, str) and row.isascii() and row.isdigit() for row in rows):
        return None
    if len({len(row) for row in rows}) > 1:
        return None
    width = len(rows[0]) if rows else 0
    return np.array([[int(cell) for cell in row] for row in rows], dtype=np.uint8).reshape(len(rows), width)


def puzzle(record: Row, what: str) -> Puzzle:
    """Evidence from a record."""
    return Puzzle(string(record, "task", 200) or "?", integer(record, "test") or 0, what)


def size(grid: Cells) -> str:
    """ "3x4"; "nothing" for an empty grid."""
    return f"{grid.shape[0]}x{grid.shape[1]}" if grid.size else "nothing"


def _look(grid: Cells) -> str:
    """What a grid is, in a few words: "a 3x3 grid of colour 0"."""
    if not grid.size:
        return "no grid at all"
    if (grid == grid[0, 0]).all():
        return f"a {size(grid)} grid of colour {grid[0, 0]}"
    return f"one {size(grid)} grid"


def _groups(records: tuple[Row, ...]) -> list[tuple[Cells, list[Row]]]:
    """The predicted grids, commonest first, each with its tests; a canvas filled with one colour is one grid."""
    groups: dict[object, tuple[Cells, list[Row]]] = {}
    for record in records:
        grid = read_cells(record, "predicted")
        if grid is None:
            continue
        side = integer(record, "side")
        filled = grid.size > 0 and grid.shape == (side, side) and (grid == grid[0, 0]).all()
        key: object = ("filled", int(grid[0, 0])) if filled else (grid.shape, grid.tobytes())
        groups.setdefault(key, (grid, []))[1].append(record)
    return sorted(groups.values(), key=lambda group: -len(group[1]))


def _same_answers(records: tuple[Row, ...]) -> tuple[Puzzle, ...]:
    """Three tests of different tasks that get the commonest answer."""
    groups = _groups(records)
    if not groups:
        return ()
    grid, members = groups[0]
    by_task = list({string(record, "task"): record for record in members}.values())
    evidence = []
    for record in by_task[:3]:
        target = read_cells(record, "target")
        wanted = "?" if target is None else size(target)
        evidence.append(puzzle(record, f"answered with {_look(grid)}, as {len(members) - 1} others; wanted {wanted}"))
    return tuple(evidence)


def _constant_output(material: Material) -> Finding | None:
    recipe, row = material.recipe, material.row
    share = number(row, "constant_share")
    if share is None or row["pairs"] < 2 or share < recipe.alarms.constant_share:
        return None
    padded = number(mapping(row, "metrics"), "padded_accuracy")
    pad = number(mapping(mapping(row, "trivial"), "padded_accuracy"), "pad")
    beside = (
        ""
        if padded is None or pad is None
        else (f"; padded accuracy {percent(padded)}, where PAD everywhere gets {percent(pad)}")
    )
    sentence = f"One and the same answer to {percent(share)} of {row['pairs']} tests{beside}."
    numbers = {"share": share, "padded_accuracy": padded, "pad": pad, "causes": causes(recipe)}
    advice = remedy(recipe, "The output does not depend on the puzzle")
    return make_finding("constant_output", 1.0, sentence, advice, numbers, _same_answers(material.records))


def _blind(what: str, material: Material, constant: Finding | None) -> Finding | None:
    recipe, row = material.recipe, material.row
    sensitivity, gain = number(row, f"{what}_sensitivity"), number(row, f"{what}_gain")
    limit = recipe.alarms.input_sensitivity if what == "input" else recipe.alarms.identity_sensitivity
    if sensitivity is None or gain is None or (sensitivity >= limit and gain >= SMALL_GAIN):
        return None
    blind = sensitivity < limit
    worth = f"the own one is worth {100 * gain:.1f} points of cell accuracy"
    sentence = f"Another task's {what} changes {percent(sensitivity)} of the answers; {worth}."
    if not blind:
        sentence = f"The model reacts to its {what} ({percent(sensitivity)} of the answers) without use: {worth}."
    if what == "input":
        advice = remedy(recipe, "The model does not read the puzzle")
    else:
        advice = "The model does not use what it is told about the task: try identity.place=both or a higher rows.lr."
    gravity = {"input": 0.95, "identity": 0.9}[what] if blind else {"input": 0.75, "identity": 0.7}[what]
    numbers: dict[str, Any] = {"sensitivity": sensitivity, "gain": gain, "threshold": limit, "causes": causes(recipe)}
    evidence = _same_answers(material.records) if constant is not None or blind else _worst(material.records)
    return make_finding(f"{what}_blind", gravity, sentence, advice, numbers, evidence)


def _wrong(records: tuple[Row, ...]) -> list[Row]:
    return [record for record in records if record.get("exact") is False]


def _worst(records: tuple[Row, ...]) -> tuple[Puzzle, ...]:
    ranked = sorted(_wrong(records), key=lambda record: number(record, "cell_accuracy") or 0.0)
    return tuple(
        puzzle(record, f"{percent(number(record, 'cell_accuracy') or 0.0)} of the cells right") for record in ranked[:3]
    )


def bound_by(record: Row) -> str | None:
    """Which of copy_bound, color_bound and size_bound a wrong test's answer is, if any."""
    shown, target, said = (read_cells(record, key) for key in ("input", "target", "predicted"))
    if shown is None or target is None or said is None:
        return None
    if np.array_equal(shown, said):
        return "copy_bound"
    if said.shape != target.shape:
        return "size_bound"
    wrong = said != target
    confused = wrong & (said != 0) & (target != 0)
    return "color_bound" if 2 * confused.sum() > wrong.sum() else None


def _bound(material: Material) -> list[Finding]:
    wrong = _wrong(material.records)
    members: dict[str, list[Row]] = defaultdict(list)
    for record in wrong:
        name = bound_by(record)
        if name is not None:
            members[name].append(record)
    found = []
    for name, records in members.items():
        share = len(records) / len(wrong)
        if share < BOUND_SHARE:
            continue
        sentence = f"{len(records)} of {len(wrong)} wrong answers ({percent(share)}): each {CAUSE[name]}."
        evidence = tuple(puzzle(record, _bound_words(name, record)) for record in records)
        numbers = {"wrong": len(wrong), "bound": len(records), "share": share}
        found.append(make_finding(name, 0.4 + 0.3 * share, sentence, "", numbers, evidence))
    return found


def _bound_words(name: str, record: Row) -> str:
    target, said = read_cells(record, "target"), read_cells(record, "predicted")
    assert target is not None and said is not None
    if name == "copy_bound":
        return f"answered with its own {size(said)} input"
    if name == "size_bound":
        return f"answered {size(said)} where {size(target)} is right"
    wrong = said != target
    pairs = sorted(set(zip(said[wrong].tolist(), target[wrong].tolist(), strict=True)))[:3]
    mixed = ", ".join(f"{mine} for {right}" for mine, right in pairs)
    return f"{int(wrong.sum())} of {wrong.size} cells wrong, colours {mixed}"


def _halting(material: Material) -> Finding | None:
    alarm = halting_collapsed(material.row, material.recipe, 0)
    if alarm is None:
        return None
    logits = [(record, items(record, "halt_logit")) for record in material.records]
    segments = alarm["numbers"]["segments"]
    whole = [(record, row) for record, row in logits if len(row) == segments and all(map(_is_number, row))]
    evidence: tuple[Puzzle, ...] = ()
    if whole:
        first = first_halts(np.array([row for _, row in whole], dtype=np.float32))
        late = [
            (record, int(at) + 1) for (record, _), at in zip(whole, first, strict=True) if record.get("exact") is False
        ]
        evidence = tuple(puzzle(record, f"would halt in segment {at}, and is wrong") for record, at in late[:3])
    return make_finding("halting_collapsed", 0.5, alarm["sentence"], "", alarm["numbers"], evidence)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _families(material: Material) -> Finding | None:
    """Families with enough tests of which none was ever right, while some other test was."""
    full = [
        row for row in material.rows if row["kind"] == material.row["kind"] and row["split"] == material.row["split"]
    ]
    if not any(row["metrics"]["exact"] > 0 for row in full):
        return None
    never: dict[str, int] = {}
    for name in sorted(mapping(material.row, "families")):
        pairs = integer(mapping(material.row, "families")[name], "pairs") or 0
        ever = max((number(mapping(row, "families").get(name), "exact") or 0.0) for row in full)
        if pairs >= FEWEST_FAMILY and ever == 0.0:
            never[name] = pairs
    if not never:
        return None
    ranked = sorted(never, key=lambda name: -never[name])
    shown = ", ".join(f"{name} ({never[name]} tests)" for name in ranked[:6])
    more = "" if len(ranked) <= 6 else f" and {len(ranked) - 6} more"
    sentence = f"{len(never)} families never solved in {len(full)} validations: {shown}{more}."
    evidence = tuple(found for name in ranked[:3] if (found := _nearest(material.records, name)) is not None)
    share = sum(never.values()) / max(
        sum(integer(row, "pairs") or 0 for row in mapping(material.row, "families").values()), 1
    )
    return make_finding("families_unsolved", 0.3 + 0.2 * share, sentence, "", {"families": never}, evidence)


def _nearest(records: tuple[Row, ...], family: str) -> Puzzle | None:
    members = [record for record in _wrong(records) if family in items(record, "families")]
    if not members:
        return None
    best = max(members, key=lambda record: number(record, "cell_accuracy") or 0.0)
    return puzzle(best, f"the nearest of {family}: {percent(number(best, 'cell_accuracy') or 0.0)} of the cells right")
