"""The five functions of the API on a tiny run: they agree with one another and with the commands, leave a model as it
was, tell mistakes as UserErrors, and importing them loads nothing heavy."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from small_data import TINY, as_json, small_tasks, write_small

from hrm_core import api
from hrm_core.api.judging import Also
from hrm_core.api.results import Model, RunResult
from hrm_core.cli.main import cli
from hrm_core.errors import UserError

CADENCES = ("training.checkpoint_every=4", "training.fast_validation_every=4", "training.full_validation_every=4")
TASKS = small_tasks()
NEW = {"train": [{"input": [[1, 2]], "output": [[2, 1]]}], "test": [{"input": [[3, 4]]}]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    root = tmp_path_factory.mktemp("api")
    data = write_small(root / "small.h5")
    return api.train("demo", overrides=(*TINY, *CADENCES), name="first", runs_dir=root / "runs", data=data)


@pytest.fixture(scope="module")
def model(trained: RunResult) -> Model:
    return api.load("first", runs_dir=trained.folder.parent)


def weights(model: Model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.snapshot.model.state_dict().items()}


def unchanged(model: Model, before: dict[str, torch.Tensor]) -> bool:
    after = model.snapshot.model.state_dict()
    return before.keys() == after.keys() and all(torch.equal(value, after[name]) for name, value in before.items())


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("snapshot", "time_utc", "elapsed_s")}


def test_there_are_five_names() -> None:
    assert sorted(api.__all__) == ["evaluate", "load", "predict", "runs", "train"]
    for name in api.__all__:
        function = getattr(api, name)
        assert inspect.getdoc(function) and "UserError" in function.__doc__


def test_a_run_is_as_any_other(trained: RunResult) -> None:
    assert (trained.state, trained.name, trained.run.step) == ("finished", "first", 4)
    (run,) = api.runs(trained.folder.parent)
    assert (run.name, run.state, run.experiment, run.folder) == ("first", "finished", "demo", trained.folder)
    assert [row["step"] for row in run.metrics()][-1] == 4
    assert [row["kind"] for row in run.evaluations()][-1] == "full"
    listed = CliRunner().invoke(cli, ["list", "--json", "--runs", str(trained.folder.parent)])
    assert [row["run_id"] for row in json.loads(listed.stdout)] == ["first"]
    with pytest.raises(FrozenInstanceError):
        trained.state = "failed"  # type: ignore[misc]


def test_the_newest_run_comes_first_and_no_folder_has_none(trained: RunResult, tmp_path: Path) -> None:
    assert api.runs(tmp_path / "nowhere") == ()
    for name, when in (("old", "2026-01-01"), ("new", "2026-03-01"), ("middle", "2026-02-01")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"created_utc": when}))
    assert [run.name for run in api.runs(str(tmp_path))] == ["new", "middle", "old"]


def test_an_evaluation_is_the_commands_and_leaves_the_model(trained: RunResult, model: Model) -> None:
    before = weights(model)
    found = api.evaluate(model, views=1)
    told = CliRunner().invoke(cli, ["eval", "first", "--views", "1", "--json", "--runs", str(trained.folder.parent)])
    assert comparable(json.loads(told.stdout)) == comparable(json.loads(json.dumps(found.row)))
    best = max(value for value in found.trivial["cell_accuracy"].values() if value is not None)
    measured = found.metrics["cell_accuracy"]
    assert measured is not None and found.lift["cell_accuracy"] == pytest.approx(measured - best)
    off = api.evaluate(model, views=1, also=Also(ablate=("identity",), settings=("halting.max_segments=1",)))
    assert off.row["identity_sensitivity"] == 0.0 and len(off.row["halting"]["histogram"]) == 1
    assert unchanged(model, before)
    again = api.evaluate("first", views=1, runs_dir=trained.folder.parent)
    assert comparable(again.row) == comparable(found.row)


def test_predictions_of_a_file_a_dict_and_the_command_are_the_same(
    trained: RunResult, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / f"{TASKS[0].id}.json"
    path.write_text(json.dumps(as_json(TASKS[0])))
    found = api.predict(model, path)
    (test,) = found.tests
    assert found == api.predict(model, {TASKS[0].id: as_json(TASKS[0])})
    assert test.target == TASKS[0].tests[0].target.tolist() and test.copying_right is False
    assert test.right == (test.target in test.attempts) and len(test.attempts) == len(test.votes) <= 2
    words = ["predict", "first", str(path), "--json", "--runs", str(trained.folder.parent)]
    (row,) = json.loads(CliRunner().invoke(cli, words).stdout)["tests"]
    assert row["attempts"] == list(test.attempts) and row["confidence"] == list(test.confidence)
    closed = api.predict(model, {TASKS[0].id: as_json(TASKS[0], outputs=False)}).tests[0]
    assert closed.attempts == test.attempts and closed.right is None and closed.copying_right is None


def test_a_new_task_is_adapted_to_and_leaves_no_trace(model: Model) -> None:
    before = weights(model)
    with pytest.raises(UserError, match="no identity row for task fresh"):
        api.predict(model, {"fresh": NEW})
    found = api.predict(model, {"fresh": NEW}, adapt=2, views=1)
    assert found.unknown == ("fresh",) and found.adapt_seconds is not None and found.tests[0].task == "fresh"
    assert unchanged(model, before)
    assert api.predict(model, {"fresh": NEW}, adapt=2, views=1).tests == found.tests


def test_logits_of_arrays_have_the_shape_of_their_tokens(model: Model) -> None:
    one = model.logits([[1] * 9, [2] * 9], [0, 1])
    assert one.logits.shape == (2, 9, 12) and one.halting_logits.shape == (2, 2) and one.segments == 2
    other = model.logits([[1] * 9, [2] * 9], [0, 1], segments=1)
    assert other.segments == 1 and not (one.logits == other.logits).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda model: model.logits([[1] * 8], [0]), "T the square of a side"),
        (lambda model: model.logits([[0.5] * 9], [0]), "not integers"),
        (lambda model: model.logits([[1] * 9], [99]), "row 99 is asked for"),
        (lambda model: model.logits([[1] * 9], [0], 0), "segments=0"),
        (lambda model: api.predict(model, {}), "neither a task"),
        (lambda model: api.predict(model, []), "no puzzles"),
        (lambda model: api.predict(model, "nowhere.json"), "nowhere.json: cannot be read"),
        (lambda model: api.predict(model, {"a": NEW}, adapt=0), "adapt=0"),
        (lambda model: api.predict(model, {"a": NEW}, adapt=1, adapt_what="row"), "adapt_what=row"),
        (lambda model: api.predict(model, {"a": NEW}, adapt=1, adapt_rate=0.0), "adapt_rate=0.0"),
        (lambda model: api.predict(model, {"a": NEW}, views=0), "views=0"),
        (lambda model: api.evaluate(model, split="train"), "split=train"),
        (lambda model: api.evaluate(model, views=0), "evaluation.views"),
        (lambda model: api.evaluate(model, data="nowhere.h5"), "nowhere.h5"),
        (lambda model: api.load(model.path, weights="best"), "weights=best"),
        (lambda model: api.load(model.path, device="tpu"), "training.device"),
        (lambda model: api.load("nothing", runs_dir=model.path.parent), "there is no run 'nothing'"),
        (lambda model: api.train("EXP-99"), "EXP-99"),
        (lambda model: api.train("demo", name="first", runs_dir=model.path.parents[2]), "first"),
        (lambda model: api.train("demo", runs_dir=model.path, data="nowhere.h5"), "there is no such file"),
        (lambda model: api.runs(model.path / "recipe.toml"), "recipe.toml"),
    ],
)
def test_mistakes_are_user_errors_of_two_lines(model: Model, call: Callable[[Model], object], said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        call(model)
    assert len(raised.value.message.splitlines()) <= 2


def test_a_run_beside_the_main_thread_is_refused(trained: RunResult, tmp_path: Path) -> None:
    caught: list[UserError] = []

    def start() -> None:
        try:
            api.train("demo", overrides=TINY, name="second", runs_dir=tmp_path)
        except UserError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in caught[0].message and not (tmp_path / "second").exists()


def test_a_run_leaves_the_process_as_it_was(trained: RunResult, tmp_path: Path) -> None:
    data = trained.folder.parent.parent / "small.h5"
    lines = (*TINY, *CADENCES, "training.max_steps=1", "training.deterministic=true", "training.threads=2")
    done = api.train("demo", overrides=lines, name="strict", runs_dir=tmp_path, data=data)
    assert done.state == "finished"
    assert not torch.are_deterministic_algorithms_enabled() and torch.get_num_threads() == 1


def test_listing_runs_loads_no_torch(trained: RunResult) -> None:
    code = (
        "import sys\nimport hrm_core.api as api\n"
        "(run,) = api.runs(sys.argv[1])\nassert run.metrics() and run.evaluations()\n"
        "print([name for name in ('torch', 'numpy', 'h5py', 'pydantic', 'click') if name in sys.modules])"
    )
    words = [sys.executable, "-c", code, str(trained.folder.parent)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "[]\n"
