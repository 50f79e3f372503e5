"""`hrm run --from`: first weights are the snapshot's, bit for bit; rows go by task; what does not fit is refused."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from hrm_core.cli.main import cli
from hrm_core.data.build import build
from hrm_core.data.grids import Pair, Task
from hrm_core.data.prepare import write_built
from hrm_core.data.sources.source import Source as DataSource
from hrm_core.errors import UserError
from hrm_core.model.hrm import HRM
from hrm_core.recipe.fitting import meaning_apart, shapes_apart
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.archive_changes import promote
from hrm_core.runs.files import read_json_object
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import events, log_tail, metrics_rows
from hrm_core.runs.records import without_clocks
from hrm_core.runs.snapshots import newest_first, read_whole_meta
from hrm_core.training.session import resume_run
from hrm_core.training.start_from import Source, read_source, start_from

TINY = [
    "model.hidden=32", "model.heads=1", "model.h_layers=1", "model.l_layers=1", "halting.max_segments=2",
    "training.batch=2", "training.accumulation=1", "training.dtype=fp32", "training.device=cpu", "training.threads=1",
    "training.max_steps=4", "training.log_every=1", "training.checkpoint_every=2", "training.fast_validation_every=2",
    "training.full_validation_every=4", "evaluation.views=1", "evaluation.segment_grids=0", "schedule.warmup=1",
    "training.deterministic=true", "training.keep_checkpoints=9",
]  # fmt: skip


def tasks(names: list[str]) -> tuple[Task, ...]:
    draw = random.Random(7)

    def pair() -> Pair:
        cells = np.array([[draw.randrange(10) for _ in range(3)] for _ in range(3)], dtype=np.uint8)
        return Pair(cells, cells[::-1].copy())

    return tuple(Task(name, "made", at % 2 == 1, (pair(), pair()), (pair(),)) for at, name in enumerate(names))


def data_of(root: Path, name: str, names: list[str]) -> Path:
    path = root / f"{name}.h5"
    write_built(build([DataSource("made", tasks(names))]), path)
    return path


def start(runs: Path, data: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["run", *words, "--runs", str(runs), "--data", str(data)])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.h5 and the finished run runs/first."""
    root = tmp_path_factory.mktemp("from")
    data = data_of(root, "data", [f"task-{number}" for number in range(8)])
    done = start(root / "runs", data, "EXP-00", *TINY, "--name", "first")
    assert done.exit_code == 0, done.output
    return root


def best_of(root: Path) -> Path:
    layout = RunFolder(root / "runs" / "first")
    return sorted(layout.archive.glob("best-*"))[-1]


def same_tensors(one: Path, other: Path) -> None:
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        assert tensor.numpy().tobytes() == second[name].numpy().tobytes(), name


def test_a_run_begins_with_the_very_weights_and_nothing_else(root: Path, tmp_path: Path) -> None:
    words = ("EXP-00", *TINY, "training.seed=5", "--from", str(best_of(root)))
    done = start(tmp_path, root / "data.h5", *words, "--name", "second")
    assert done.exit_code == 0, done.output
    layout = RunFolder(tmp_path / "second")
    for name in ("weights", "evaluation"):
        same_tensors(best_of(root) / "evaluation.safetensors", layout.checkpoint(0) / f"{name}.safetensors")
    state = load_file(layout.checkpoint(0) / "state.safetensors")
    moments = [name for name in state if name.startswith("trunk_optimizer.")]
    assert moments
    assert all(not state[name].any() for name in moments)
    assert json.loads((layout.checkpoint(0) / "progress.json").read_text())["step"] == 0
    assert [row["step"] for row in metrics_rows(layout)] == [1, 2, 3, 4]


def test_run_json_log_and_event_say_where_it_comes_from(root: Path, tmp_path: Path) -> None:
    best = best_of(root)
    runs = root / "runs"
    assert start(runs, root / "data.h5", "EXP-00", *TINY, "--from", "first@best", "--name", "told").exit_code == 0
    layout = RunFolder(runs / "told")
    meta = read_whole_meta(best)
    assert meta is not None
    parent = (read_json_object(layout.run_json) or {})["parent"]
    assert parent == {
        "run": "first", "step": meta["step"], "snapshot": str(best), "weights": meta["evaluation_weights"],
        "digest": meta["files"]["evaluation.safetensors"]["sha256"],
    }  # fmt: skip
    said = "\n".join(log_tail(layout))
    assert f"weights from first@{meta['step']}" in said
    assert "identity rows: 8 of 8 tasks from the snapshot" in said
    assert events(layout)[0]["parent"]["run"] == "first"


def test_it_is_deterministic_and_a_resume_needs_no_snapshot(root: Path, tmp_path: Path) -> None:
    """Begun twice, and once killed at the very beginning and resumed without the parent: the same rows and weights."""
    runs, data = tmp_path / "runs", root / "data.h5"
    target = promote(tmp_path / "runs", best_of(root), "champion")
    for name in ("one", "two"):
        assert start(runs, data, "EXP-00", *TINY, "--from", "champion", "--name", name).exit_code == 0
    rows = [[without_clocks(row) for row in metrics_rows(runs / name)] for name in ("one", "two")]
    assert rows[0] == rows[1]
    one, two = RunFolder(runs / "one"), RunFolder(runs / "two")
    same_tensors(one.checkpoint(4) / "state.safetensors", two.checkpoint(4) / "state.safetensors")
    shutil.rmtree(target)
    # As a kill after the first checkpoint leaves it.
    for folder in (folder for folder in newest_first(two.checkpoints) if folder != two.checkpoint(0)):
        shutil.rmtree(folder)
    two.result.unlink()
    assert resume_run(two.path) == "finished"
    same_tensors(one.checkpoint(4) / "state.safetensors", two.checkpoint(4) / "state.safetensors")
    for folder in newest_first(two.checkpoints):
        shutil.rmtree(folder)
    two.result.unlink()
    with pytest.raises(UserError, match="no checkpoint left"):
        resume_run(two.path)


def source_of(root: Path) -> Source:
    return read_source(best_of(root))


def fresh_model(overrides: list[str], count: int, experiment: str = "EXP-00") -> HRM:
    return HRM(build_recipe(experiment, [*TINY, *overrides]).recipe, count)


def test_rows_go_by_task_and_unknown_tasks_begin_anew(root: Path) -> None:
    source = source_of(root)
    ids = ("task-3", "other", "task-0")
    model = fresh_model([], 3)
    notes = start_from(source, model, ids)
    stored = source.tensors["rows.table"]
    old = {name: number for number, name in enumerate(source.task_ids)}
    assert stored[old["task-3"]].any()
    assert torch.equal(model.rows.table[0], stored[old["task-3"]])
    assert torch.equal(model.rows.table[2], stored[old["task-0"]])
    assert not model.rows.table[1].any()
    assert not model.rows.table[3].any()
    assert any("2 of 3 tasks from the snapshot, 1 begin anew" in note for note in notes)


def test_rows_of_another_kind_begin_anew(root: Path) -> None:
    source = source_of(root)
    other = "none" if source.recipe.identity.kind != "none" else "shared"
    model = fresh_model([f"identity.kind={other}"], 8)
    notes = start_from(source, model, source.task_ids)
    assert not model.rows.table.any()
    assert torch.equal(model.head, source.tensors["head"])
    assert any("identity" in note for note in notes)


@pytest.mark.parametrize(("overrides", "whole"), [([], True), (["training.seed=9"], False)])
def test_rows_of_each_augmentation_are_taken_where_they_mean_the_same(
    root: Path, overrides: list[str], whole: bool
) -> None:
    kind = ["identity.kind=per_augmentation", "augment.pool=3", "identity.place=prefix", "augment.dihedral=true"]
    recipe = build_recipe("EXP-00", [*TINY, *kind]).recipe
    model = HRM(recipe, 8)
    model.rows.table[:-1].normal_(generator=torch.Generator().manual_seed(1))
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ids = source_of(root).task_ids
    source = Source(root, recipe, ids, tensors, {"run": "x", "step": 1, "weights": "ema", "digest": "d"})
    other = HRM(build_recipe("EXP-00", [*TINY, *kind, *overrides]).recipe, 8)
    start_from(source, other, ids)
    assert torch.equal(other.rows.table, tensors["rows.table"]) is whole
    taken, stored = other.rows.table[:-1].view(8, 3, -1), tensors["rows.table"][:-1].view(8, 3, -1)
    assert torch.equal(taken[:, 0], stored[:, 0])
    assert bool(taken[:, 1:].any()) is whole


def test_a_part_that_a_technique_adds_begins_anew_and_one_that_is_gone_is_left_out(root: Path) -> None:
    source = source_of(root)
    plain = fresh_model(["techniques.object_graph=true"], 8)
    drawn = {name: tensor.clone() for name, tensor in plain.state_dict().items() if name.startswith("object_graph.")}
    assert drawn
    notes = start_from(source, plain, source.task_ids)
    assert any("begins anew, since the snapshot has none: object_graph" in note for note in notes)
    for name, tensor in drawn.items():
        assert torch.equal(plain.state_dict()[name], tensor)
    assert torch.equal(plain.head, source.tensors["head"])
    more = Source(root, source.recipe, source.task_ids, {**source.tensors, **drawn}, source.parent)
    notes = start_from(more, fresh_model([], 8), source.task_ids)
    assert any("left out of the snapshot: object_graph" in note for note in notes)


def test_settings_that_change_the_meaning_are_said(root: Path) -> None:
    source = source_of(root)
    model = fresh_model(["model.h_cycles=3"], 8)
    notes = start_from(source, model, source.task_ids)
    assert any("model.h_cycles 2 -> 3" in note for note in notes)


@pytest.mark.parametrize(
    "override", ["model.hidden=64", "model.l_layers=2", "model.expansion=2.0", "model.share_levels=true"]
)
def test_other_shapes_are_refused_before_anything_is_made(root: Path, override: str) -> None:
    words = ("EXP-00", *TINY, override, "--from", "first@best", "--name", "no")
    for more in ((), ("--detach",)):
        done = start(root / "runs", root / "data.h5", *words, *more)
        assert done.exit_code == 1
        assert override.split("=")[0] in done.output
        assert len(done.output.strip().splitlines()) <= 2
        assert not (root / "runs" / "no").exists()


def test_settings_apart() -> None:
    one = build_recipe("EXP-00", TINY).recipe
    wide = build_recipe("EXP-00", [*TINY, "model.hidden=64", "model.h_cycles=3"]).recipe
    assert shapes_apart(one, one) == {}
    assert shapes_apart(one, wide) == {"model.hidden": (32, 64)}
    assert set(meaning_apart(one, wide)) == {"model.hidden", "model.h_cycles"}


def test_the_remedy_names_the_preset_where_that_differs(root: Path) -> None:
    done = start(root / "runs", root / "data.h5", "EXP-00", "preset=cpu", "--from", "first@best", "--name", "no")
    assert done.exit_code == 1
    assert "Add preset=plan" in done.output


def test_a_damaged_or_missing_snapshot_is_refused(root: Path, tmp_path: Path) -> None:
    copy = promote(tmp_path, best_of(root), "copy")
    data = (copy / "evaluation.safetensors").read_bytes()
    (copy / "evaluation.safetensors").unlink()
    (copy / "evaluation.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    for word in ("copy", "nothing@best", str(tmp_path)):
        done = start(tmp_path, root / "data.h5", "EXP-00", *TINY, "--from", word, "--name", "no")
        assert done.exit_code in (1, 2)
        assert len(done.output.strip().splitlines()) <= 2
        assert not (tmp_path / "no").exists()


def test_detached_passes_it_on(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hrm_core.cli import run_commands

    started: list[list[str]] = []
    monkeypatch.setattr(run_commands, "start_detached", lambda folder, words: started.append(words) or 1)
    words = ("EXP-00", *TINY, "--from", "first@best", "--name", "later", "--detach")
    done = start(root / "runs", root / "data.h5", *words)
    assert done.exit_code == 0, done.output
    (passed,) = started
    assert passed[passed.index("--from") + 1] == str(best_of(root))


def test_finding_the_snapshot_loads_no_torch(root: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom hrm_core.api.run_folders import find_source\n"
        "from hrm_core.recipe.lay import build_recipe\n"
        "find_source(Path(sys.argv[1]), 'first@best', build_recipe('EXP-00', sys.argv[2:]).recipe)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(root / "runs"), *TINY], check=True)
