"""A run resumed after rows were cut off between two lines says which; one that lost only its tail says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_trainer import QUIET, TINY_MODEL, events_of

from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.atomic import write_json
from hrm_core.runs.files import read_json_object
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import log_tail, metrics_rows
from hrm_core.runs.snapshots import read_meta
from hrm_core.runs.written import METRICS, ROWS, look_through
from hrm_core.training import session

COURSE = (*TINY_MODEL, "training.max_steps=12", "training.checkpoint_every=4", *QUIET)


def cut_lines(path: Path, keep: int) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:keep]))


@pytest.fixture(scope="module")
def finished(arc1_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    assert session.start_run(folder, build_recipe("demo", COURSE), arc1_file) == "finished"
    return folder


@pytest.fixture
def killed(finished: Path, tmp_path: Path) -> RunFolder:
    """A copy as a kill after step 10 leaves it: the checkpoint of step 8 is the newest."""
    import shutil

    folder = tmp_path / "one"
    shutil.copytree(finished, folder)
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "checkpoints" / "step-00000012")
    cut_lines(folder / METRICS, 10)
    return RunFolder(folder)


def test_every_checkpoint_and_the_result_hold_the_rows_up_to_them(finished: Path) -> None:
    layout = RunFolder(finished)
    for step in (4, 8, 12):
        assert (read_meta(layout.checkpoint(step)) or {})[ROWS][METRICS] == {"rows": step, "step": step}
    assert (read_json_object(layout.result) or {})[ROWS][METRICS] == {"rows": 12, "step": 12}
    assert look_through(layout).missing == [] and look_through(layout).known


@pytest.mark.parametrize("kept", [10, 9, 8])
def test_a_tail_lost_after_the_checkpoint_is_no_alarm(killed: RunFolder, kept: int) -> None:
    cut_lines(killed.metrics, kept)
    assert session.resume_run(killed.path) == "finished"
    assert events_of(killed.path, "rows_missing") == []
    assert [row["step"] for row in metrics_rows(killed)] == list(range(1, 13))


def test_rows_missing_before_it_are_an_event_and_a_line(killed: RunFolder) -> None:
    cut_lines(killed.metrics, 5)
    assert session.resume_run(killed.path) == "finished"
    (event,) = events_of(killed.path, "rows_missing")
    told = {key: event[key] for key in ("step", "file", "missing", "of", "after", "until")}
    assert told == {"step": 8, "file": METRICS, "missing": 3, "of": 8, "after": 5, "until": 8}
    said = "metrics.jsonl: 3 of 8 rows are missing, after step 5, up to step 8; the run goes on without them"
    assert any(said in line for line in log_tail(killed))
    assert [row["step"] for row in metrics_rows(killed)] == [1, 2, 3, 4, 5, 9, 10, 11, 12]
    assert look_through(killed).missing == []


def test_a_newer_format_is_refused_before_the_recipe_is_read(killed: RunFolder) -> None:
    write_json(killed.run_json, {**(read_json_object(killed.run_json) or {}), "format": 99}, seal=True)
    killed.recipe_toml.write_text("[a_setting_of_next_year]\nx = 1\n")
    with pytest.raises(UserError, match="has format 99, this version reads up to 1: it was made by a newer version"):
        session.resume_run(killed.path)
