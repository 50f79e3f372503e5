"""`evaluate` with an imported checkpoint: rows go by name, other tasks' tests are left out, and the model stays."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from published_reference import HRM, make_state

from hrm_core import api
from hrm_core.api.foreign_rows import place_rows
from hrm_core.data.dataset import Dataset, load_dataset
from hrm_core.errors import UserError
from hrm_core.interchange.import_published import import_published
from hrm_core.interchange.published_files import read_published
from hrm_core.recipe.lay import build_recipe

KNOWN = 20


@pytest.fixture(scope="module")
def dataset(arc1_file: Path) -> Dataset:
    recipe = build_recipe("hrm-official").recipe
    return load_dataset(arc1_file, recipe.data, input=recipe.input)


def imported(folder: Path, dataset: Dataset, *, named: bool = True) -> api.Model:
    """A checkpoint with rows for some tasks of the evaluation set, backwards, behind the row of no task."""
    sizes = replace(HRM, rows=KNOWN + 1)
    folder.mkdir(exist_ok=True)
    torch.save(make_state(sizes), folder / "step_5")
    held_out = [name for name, evaluated in zip(dataset.tasks.ids, dataset.tasks.evaluation, strict=True) if evaluated]
    (folder / "identifiers.json").write_text(json.dumps(["<blank>", *held_out[KNOWN - 1 :: -1]]))
    words = ("model.heads=2", "halting.max_segments=2")
    identifiers = folder / "identifiers.json" if named else None
    import_published(read_published(folder / "step_5"), "hrm", folder / "snapshot", words, identifiers)
    return api.load(folder / "snapshot", device="cpu", dtype="fp32")


def test_every_task_of_the_data_has_the_row_of_its_name(tmp_path: Path, dataset: Dataset) -> None:
    model = imported(tmp_path, dataset)
    network, before = model.snapshot.model, model.snapshot.model.rows.table.clone()
    some, notes = place_rows(model, network, dataset, tmp_path)
    assert notes == [f"{800 - KNOWN} of 800 tasks have no identity row in the snapshot; their tests are left out"]
    names = {name: row for row, name in enumerate(model.snapshot.task_ids)}
    known = [number for number, name in enumerate(dataset.tasks.ids) if name in names]
    assert len(known) == KNOWN and network.rows.table.shape == (801, HRM.hidden)
    for number in known:
        assert torch.equal(network.rows.table[number], before[names[dataset.tasks.ids[number]]])
    tests = {task for pairs in some.eval.values() for task in pairs.task.tolist()}
    assert tests == set(known)
    count = sum(int((pairs.task.unsqueeze(1) == torch.tensor(known)).sum()) for pairs in dataset.eval.values())
    assert sum(pairs.num_pairs for pairs in some.eval.values()) == count
    assert some.train is dataset.train and dict(some.val) == {}


def test_it_is_evaluated_on_its_own_tests_and_stays_as_it_was(
    tmp_path: Path, dataset: Dataset, arc1_file: Path
) -> None:
    model = imported(tmp_path, dataset)
    before = model.snapshot.model.rows.table.clone()
    row = api.evaluate(model, fast=True, data=arc1_file).row
    assert row["tasks"] <= KNOWN and row["pairs"] >= 16
    assert f"{800 - KNOWN} of 800 tasks have no identity row" in " ".join(row["notes"])
    assert torch.equal(model.snapshot.model.rows.table, before)
    again = api.evaluate(model, fast=True, data=arc1_file).row
    assert again["metrics"] == row["metrics"], "the rows were put in order once, not twice"


def test_rows_without_names_are_those_of_no_task(tmp_path: Path, dataset: Dataset, arc1_file: Path) -> None:
    model = imported(tmp_path, dataset, named=False)
    with pytest.raises(UserError, match=r"no identity row for any task .* row-0, row-1 and so on\.\nImport it with"):
        api.evaluate(model, data=arc1_file)
