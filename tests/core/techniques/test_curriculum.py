"""Shrinking against a loop over cells and by hand; stages by fit against the file's row ranges; stages in a run: their
lanes, clock, event, metrics, memory plan and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import h5py
import numpy as np
import pytest
import torch
from technique_bench import run_steps, tiny_parts

from hrm_core.data.dataset import Dataset, load_dataset
from hrm_core.data.grids import OUTSIDE
from hrm_core.data.lanes import LanePairs
from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.reader import events, metrics_rows
from hrm_core.techniques.curriculum import lost_labels, resample, shrink, stage_counts, stage_pairs
from hrm_core.techniques.timeline import Timeline
from hrm_core.training import memory
from hrm_core.training.session import resume_run, start_run
from hrm_core.training.setup import Device

STAGED = ("techniques.curriculum.ends=4,8",)
CPU = Device(torch.device("cpu"), torch.float32, 1, ())


def nearest(grid: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """One grid, cell by cell: the old cell that holds the new one's centre."""
    old_height, old_width = grid.shape
    new = np.zeros((height, width), np.uint8)
    for row in range(height):
        for column in range(width):
            new[row, column] = grid[int((row + 0.5) * old_height / height), int((column + 0.5) * old_width / width)]
    return new


def grid_on(canvas: torch.Tensor, height: Any, width: Any) -> np.ndarray[Any, Any]:
    """What lies on a canvas; everything beyond it is OUTSIDE."""
    rest = canvas.clone()
    rest[: int(height), : int(width)] = OUTSIDE
    assert (rest == OUTSIDE).all()
    return canvas[: int(height), : int(width)].numpy()


def whole(arc1_file: Path, experiment: str = "EXP-07", *overrides: str) -> tuple[Any, Dataset]:
    recipe = build_recipe(experiment, list(overrides)).recipe
    return recipe, load_dataset(arc1_file, recipe.data)


@pytest.mark.parametrize("scale", [0.6, 0.8, 0.35])
def test_shrinking_is_nearest_neighbour_on_every_pair(scale: float, arc1_file: Path) -> None:
    _, dataset = whole(arc1_file)
    pairs = dataset.train[30].select(torch.arange(0, dataset.train[30].num_pairs, 9))
    side = round(30 * scale)
    small = shrink(pairs, scale, side)
    for row in range(pairs.num_pairs):
        for name in ("input", "target"):
            height, width = (int(getattr(pairs, f"{name}_{what}")[row]) for what in ("height", "width"))
            wanted = nearest(
                getattr(pairs, name)[row, :height, :width].numpy(),
                max(1, round(height * scale)),
                max(1, round(width * scale)),
            )
            sizes = (getattr(small, f"{name}_{what}")[row] for what in ("height", "width"))
            np.testing.assert_array_equal(grid_on(getattr(small, name)[row], *sizes), wanted)
    assert torch.equal(small.key, pairs.key)


def test_labels_that_shrinking_destroys_are_counted() -> None:
    """A plain grid comes back, a grid of 2x2 blocks does at one half, a chequered one does not."""
    plain = torch.full((6, 6), 3)
    blocks = torch.arange(9).reshape(3, 3).repeat_interleave(2, 0).repeat_interleave(2, 1)
    chequered = torch.arange(6)[:, None].add(torch.arange(6)).remainder(2)
    grids = torch.stack([plain, blocks, chequered]).to(torch.uint8)
    six, rows, no = torch.full((3,), 6), torch.arange(3), torch.zeros(3, dtype=torch.bool)
    pairs = LanePairs(6, grids, grids.clone(), rows, rows, six, six, six, six, six, six, no, ~no, rows)
    small = shrink(pairs, 0.5, 3)
    assert small.target[1].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert lost_labels(pairs, small) == 1
    assert lost_labels(pairs, shrink(pairs, 1.0, 6)) == 0
    wide = replace(pairs, target_width=six - 4, target=torch.where(torch.arange(6) < 2, grids, OUTSIDE))
    assert shrink(wide, 0.1, 3).target_width.tolist() == [1, 1, 1]
    assert resample(wide.target, six, six - 4, six, six - 4, 6).equal(wide.target)


def test_most_labels_of_arc_are_destroyed(arc1_file: Path) -> None:
    """The figures in the module's docstring."""
    recipe, dataset = whole(arc1_file)
    shares = [
        lost_labels(dataset.train[30], pairs) / pairs.num_pairs
        for stage in range(3)
        for pairs in stage_pairs(recipe, dataset, stage).values()
    ]
    assert [round(100 * share, 1) for share in shares] == [95.6, 91.2, 0.0]


def test_stages_by_fit_are_the_row_ranges_of_the_file(arc1_file: Path) -> None:
    """On the default canvases: the same pairs that `/curriculum/` and the column `stage` give for 18, 24 and 30."""
    recipe, dataset = whole(arc1_file, "EXP-07b")
    with h5py.File(arc1_file) as file:
        table = {name: values[()] for name, values in file["curriculum"].items()}
    for number, stage in enumerate((18, 24, 30)):
        found = stage_pairs(recipe, dataset, number)
        ranges = {
            int(side): int(stop - start)
            for side, start, stop, which in zip(
                table["side"], table["start"], table["stop"], table["stage"], strict=True
            )
            if which == stage
        }
        assert {side: pairs.num_pairs for side, pairs in found.items()} == ranges
        for side, pairs in found.items():
            of_file = dataset.train[side].key[dataset.train[side].stage <= stage]
            assert torch.equal(pairs.key, of_file)


def test_stages_by_fit_on_one_canvas_go_by_known_side(arc1_file: Path) -> None:
    recipe, dataset = whole(arc1_file, "EXP-07", "techniques.curriculum.kind=fit")
    for number, stage in enumerate((18, 24, 30)):
        (pairs,) = stage_pairs(recipe, dataset, number).values()
        assert pairs.num_pairs == int((dataset.train[30].known_side <= stage).sum())
        assert int(pairs.known_side.max()) <= stage


def test_lanes_change_in_place_and_slots_stay(arc1_file: Path) -> None:
    parts = tiny_parts(arc1_file, STAGED)
    lanes, seen = parts.lanes, []
    told = []
    for step in range(12):
        told += [(step, event) for event in run_steps(parts, 1, start=step)]
        assert parts.lanes is lanes
        assert sum(lane.num_slots for lane in lanes) == parts.num_slots == 6
        seen.append([(lane.side, lane.number, lane["tokens"].shape[1]) for lane in lanes])
    assert seen == [[(4, 0, 16)]] * 4 + [[(6, 64, 36)]] * 4 + [[(7, 128, 49)]] * 4
    assert [(step, event.name, event.recapture, event.fields["stage"]) for step, event in told] == [
        (0, "stage", False, 0),
        (4, "stage", True, 1),
        (8, "stage", True, 2),
    ]
    assert told[0][1].fields["unrecoverable"] > told[1][1].fields["unrecoverable"] > 0.3
    assert told[2][1].fields["unrecoverable"] == 0.0
    assert f"{100 * told[0][1].fields['unrecoverable']:.1f} %" in told[0][1].say


def test_a_time_strikes_by_the_clock_and_keeps_its_step() -> None:
    timeline = Timeline(1000, seconds_per_step=0.1)
    timeline.elapsed_s = 3.0
    assert not timeline.reached("a", "5s", 60)  # the measured speed would say that it is past
    timeline.elapsed_s = 5.5
    assert timeline.reached("a", "5s", 61)
    assert timeline.struck == {"a": 61}
    timeline.elapsed_s = 0.0
    assert timeline.reached("a", "5s", 61)
    assert not timeline.reached("b", 0.5, 499)


def test_later_stages_make_a_run_in_hours_shorter_in_steps(arc1_file: Path) -> None:
    """In a run of 10,000 s whose first stage takes a second a step."""
    plain, staged = tiny_parts(arc1_file), tiny_parts(arc1_file, ("techniques.curriculum.ends=0.3,0.6",))
    assert plain.techniques.pace(10_000.0, 1.0) == 1.0
    pace = staged.techniques.pace(10_000.0, 1.0)
    tokens = (16 + 1, 36 + 1, 49 + 1)  # a step's cost is a little more than linear in its tokens
    assert pace > 0.3 + (0.3 * tokens[1] + 0.4 * tokens[2]) / tokens[0]
    assert pace < 1.1 * (0.3 + (0.3 * tokens[1] + 0.4 * tokens[2]) / tokens[0])


def test_a_stage_without_tasks_and_too_few_slots_are_refused(arc1_file: Path) -> None:
    recipe, dataset = whole(arc1_file, "EXP-07b")
    large = {30: dataset.train[30]}
    with pytest.raises(UserError, match=r"no training task fits 18x18, the canvas of stage 1 \(scale 0.6\)"):
        stage_pairs(recipe, replace(dataset, train=large), 0)
    many = ("preset=plan", "data.subset=all", "data.canvases=10,14,18,24,30", "techniques.curriculum.kind=fit")
    with pytest.raises(UserError, match="has 5 canvases, and each needs a slot"):
        tiny_parts(arc1_file, (*many, "training.batch=2", "training.accumulation=1"))
    with pytest.raises(UserError, match=r"one canvas, data.canvases names 5; set data.canvases=30, or"):
        build_recipe("EXP-00", ["techniques.curriculum=on"])


def test_the_memory_plan_is_that_of_the_stage_that_takes_most(arc1_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever that is: with plans made up so that it is the last, or the first."""
    recipe, dataset = whole(arc1_file, "EXP-07b", "data.canvases=18,30")
    counts = stage_counts(recipe, dataset)
    assert [set(sides) for sides in counts] == [{18}, {18, 30}, {18, 30}]
    planned: list[Any] = []
    monkeypatch.setattr(memory, "plan_memory", lambda recipe, stage: SimpleNamespace(peak=sum(stage.pairs.values())))
    monkeypatch.setattr(memory, "refusal", lambda recipe, setting, limit, name: planned.append(setting.pairs))
    memory.enforce(recipe, dataset, CPU)
    monkeypatch.setattr(memory, "plan_memory", lambda recipe, stage: SimpleNamespace(peak=-len(stage.pairs)))
    memory.enforce(recipe, dataset, CPU)
    assert planned == [counts[2], counts[0]]
    plain = cast(Any, build_recipe("EXP-00").recipe)
    assert stage_counts(plain, cast(Dataset, SimpleNamespace(train=dataset.train))) == [counts[2]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_tells_its_stages_and_goes_on_in_the_one_it_was_in(arc1_file: Path, tmp_path: Path) -> None:
    lines = ["preset=demo", "training.max_steps=40", "techniques.curriculum.ends=10,20", "training.log_every=4"]
    lines += ["training.device=cpu", "training.dtype=fp32", "training.batch=6", "training.threads=1"]
    lines += ["model.hidden=64", "model.h_layers=1", "model.l_layers=1", "halting.max_segments=2"]
    lines += ["training.checkpoint_every=5", "schedule.kind=constant", "data.validate_limit=16", "evaluation.views=1"]
    lines += ["training.fast_validation_every=40", "training.full_validation_every=40"]
    for number, name in enumerate(("straight", "stopped")):
        length = [] if number == 0 else ["training.max_steps=15"]
        folder = tmp_path / name
        start_run(folder, build_recipe("EXP-07", [*lines, *length]), arc1_file)
        if number == 1:
            assert json.loads((folder / "status.json").read_text(encoding="utf-8"))["stage"] == 1
            resume_run(folder, ("training.max_steps=40",))
        rows = metrics_rows(folder)
        # Whole rows of 4 steps; the one that spans a change counts each step's own tokens.
        tokens = {4: 4 * 6 * 16, 8: 8 * 6 * 16, 12: 6 * (10 * 16 + 2 * 36), 24: 6 * (10 * 16 + 10 * 36 + 4 * 49)}
        found = {row["step"]: row for row in rows}
        assert {step: found[step]["tokens"] for step in tokens if step in found} == {
            step: count for step, count in tokens.items() if step in found
        }
        assert [found[step]["stage"] for step in (8, 12, 24, 40)] == [0, 1, 2, 2]
        stages = [event["stage"] for event in events(folder) if event["kind"] == "stage"]
        assert stages == [0, 1, 2]
