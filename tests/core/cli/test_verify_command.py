"""`hrm verify` against runs of the real writer: whole, and with one thing after the other damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hrm_core.cli.main import cli
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.atomic import atomic_folder
from hrm_core.runs.launch import identity
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.snapshots import write_meta
from hrm_core.runs.writer import RunWriter


@pytest.fixture
def layout(tmp_path: Path) -> RunFolder:
    """A stopped run at step 10 with a checkpoint there, a policy and predictions."""
    recipe = to_toml(build_recipe("demo", ()).recipe)
    with RunWriter.create(tmp_path / "one", recipe, {"process": identity()}) as run:
        for step in range(1, 11):
            run.metrics({"step": step, "loss": 1.0})
        run.evaluation({"step": 10, "kind": "full"})
        run.event("best", 10)
        run.policy({"nonfinite": 1})
        run.predictions(10, [{"id": "a", "grid": "1" * 100}, {"id": "b"}])
        rows = run.sync()
        with atomic_folder(run.layout.checkpoint(10)) as folder:
            (folder / "state.safetensors").write_bytes(b"x" * 100)
            write_meta(folder, {"step": 10, "rows": rows})
        run.result({"state": "stopped", "step": 10})
    return RunFolder(tmp_path / "one")


def verify(layout: RunFolder, *more: str) -> Result:
    return CliRunner().invoke(cli, ["verify", layout.run_id, "--runs", str(layout.path.parent), *more])


def test_a_whole_run_is_whole(layout: RunFolder) -> None:
    result = verify(layout)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "10 files and folders, all whole."
    for name in ("recipe.toml", "metrics.jsonl", "predictions of step 10", "checkpoints/step-00000010"):
        assert name in result.output


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle + (data[middle] == ord("\n"))] ^= 1  # not between two lines: those would become one
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("run.json", "it is not what was written"),
        ("policy.json", "it is not what was written"),
        ("result.json", "it is not what was written"),
        ("status.json", "it is missing, or not what was written"),
        ("recipe.toml", "the recipe is not what was written: the digest in its first line is that of another text."),
        ("predictions/10.jsonl.gz", "they are not those that their index was written for"),
        ("predictions/10.index.json", "they are not those that their index was written for"),
        ("checkpoints/step-00000010/state.safetensors", "state.safetensors has changed since it was written"),
        ("evaluations.jsonl", "1 damaged line; 1 of 1 rows are missing, up to step 10"),
        ("metrics.jsonl", "1 damaged line; 1 of 10 rows are missing, from before step 10"),
    ],
)
def test_one_bit_in_any_file_is_named(layout: RunFolder, name: str, said: str) -> None:
    flip(layout.path / name)
    result = verify(layout, "--json")
    assert result.exit_code == 1
    found = {one["what"]: one["problems"] for one in json.loads(result.output)}
    bad = {what: "; ".join(problems) for what, problems in found.items() if problems}
    assert len(bad) == 1 and said in next(iter(bad.values())), bad


def test_rows_cut_off_between_two_lines_are_named_where_the_list_of_runs_says_so_too(layout: RunFolder) -> None:
    layout.metrics.write_bytes(b"".join(layout.metrics.read_bytes().splitlines(keepends=True)[:7]))
    result = verify(layout)
    assert result.exit_code == 1
    assert "metrics.jsonl" in result.output and "3 of 10 rows are missing, after step 7, up to step 10" in result.output
    assert result.output.splitlines()[-1] == "10 files and folders: 1 not as they were written."
    shown = CliRunner().invoke(cli, ["show", "one", "--runs", str(layout.path.parent)]).output
    assert "metrics.jsonl ends at step 7 and went up to step 10" in shown and "hrm verify one" in shown


def test_a_run_that_goes_on_and_has_no_checkpoint_yet_cannot_say_how_many_rows_there_were(tmp_path: Path) -> None:
    recipe = to_toml(build_recipe("demo", ()).recipe)
    with RunWriter.create(tmp_path / "one", recipe, {}) as run:
        run.metrics({"step": 1})
        result = verify(run.layout)
    assert result.exit_code == 0
    assert "whole (no checkpoint says how many rows there were)" in result.output
