"""`hrm eval` on a small snapshot beside `evaluate` called directly, and its errors in one or two lines."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from hrm_core.cli.main import cli
from hrm_core.data.build import build
from hrm_core.data.dataset import load_dataset
from hrm_core.data.grids import Pair, Task
from hrm_core.data.prepare import write_built
from hrm_core.data.sources.source import Source
from hrm_core.evaluation.evaluate import evaluate
from hrm_core.model.inference import Predictor
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.schema import Recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.archive_changes import promote
from hrm_core.runs.writer import RunWriter
from hrm_core.training.checkpoint import load_snapshot, save_snapshot
from hrm_core.training.setup import build_parts, choose_device

OVERRIDES = [
    "model.hidden=32", "model.heads=1", "model.h_layers=1", "model.l_layers=1", "halting.max_segments=2",
    "training.batch=2", "training.accumulation=1", "training.dtype=fp32", "training.device=cpu", "training.threads=1",
    "evaluation.views=3",
]  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A runs folder with the run `small`: checkpoints at steps 2 and 4, the best at 2."""

    runs: Path
    data: Path
    recipe: Recipe

    def eval(self, *arguments: str) -> Result:
        return CliRunner().invoke(cli, ["eval", *arguments, "--runs", str(self.runs)])


def make_tasks(count: int, seed: int) -> tuple[Task, ...]:
    draw = random.Random(seed)

    def pair() -> Pair:
        cells = np.array([[draw.randrange(10) for _ in range(3)] for _ in range(3)], dtype=np.uint8)
        return Pair(cells, cells[::-1].copy())

    return tuple(Task(f"{seed}-{i}", "made", i % 2 == 1, (pair(), pair()), (pair(),)) for i in range(count))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("evaluated")
    data = root / "made.h5"
    write_built(build([Source("made", make_tasks(12, 1))]), data)
    recipe = build_recipe("EXP-00", OVERRIDES).recipe
    dataset = load_dataset(data, recipe.data)
    torch.manual_seed(3)
    parts = build_parts(recipe, dataset, choose_device(recipe.training))
    runs = root / "runs"
    runs.mkdir()
    with RunWriter.create(runs / "small", to_toml(recipe), {"experiment": "EXP-00", "data": str(data)}) as writer:
        layout = writer.layout
        for folder, step in ((layout.checkpoint(2), 2), (layout.checkpoint(4), 4), (layout.best(2), 2)):
            save_snapshot(folder, parts, dataset.tasks.ids, {"step": step, "run_id": "small"})
    return Made(runs, data, recipe)


def told(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("snapshot", "time_utc", "elapsed_s")}


def test_the_row_is_what_evaluate_gives(made: Made) -> None:
    snapshot = load_snapshot(made.runs / "small" / "checkpoints" / "step-00000004")
    dataset = load_dataset(made.data, made.recipe.data)
    for arguments, split in ((["small"], "val"), (["small@4", "--split", "eval"], "eval")):
        row = evaluate(Predictor(snapshot.model), dataset, made.recipe, split, "full", 4, "ema", max_steps=0).row  # type: ignore[arg-type]
        assert comparable(told(made.eval(*arguments, "--json"))) == comparable(json.loads(json.dumps(row)))


def test_ways_to_name_a_snapshot(made: Made) -> None:
    folder = made.runs / "small"
    promote(made.runs, folder / "archive" / "best-00000002", "champion")
    row = told(made.eval("champion", "--json", "--fast"))
    assert (row["snapshot"], row["step"]) == (str(made.runs / "promoted" / "champion"), 2)
    for word, place in {
        "small": "checkpoints/step-00000004",
        "sma@last": "checkpoints/step-00000004",
        "small@4": "checkpoints/step-00000004",
        "small@2": "archive/best-00000002",
        "small@best": "archive/best-00000002",
        str(folder / "archive" / "best-00000002"): "archive/best-00000002",
    }.items():
        row = told(made.eval(word, "--json", "--fast"))
        assert row["snapshot"] == str(folder / place)
        assert (row["kind"], row["step"]) == ("fast", int(place[-1]))


def test_views_settings_and_weights(made: Made) -> None:
    assert told(made.eval("small", "--json", "--weights", "raw"))["weights"] == "raw"
    row = told(made.eval("small", "--json", "--views", "1", "--set", "evaluation.score=padded_accuracy"))
    assert row["score"] == row["metrics"]["padded_accuracy"]
    assert row["metrics"]["pass_at_1"] == row["metrics"]["pass_at_2"]


def test_what_is_measured_on_request(made: Made) -> None:
    row = told(made.eval("small", "--json", "--views", "1", "--color-copies", "2", "--sharpness", "--latency"))
    assert row["color_copies"]["tests"] == row["pairs"] and len(row["color_copies"]["exact"]) == 2
    assert len(row["sharpness"]["radii"]) == 3 and row["latency"]["parameters"] > 0
    shown = made.eval("small", "--views", "1", "--color-copies", "2", "--sharpness", "--latency").stdout
    for words in ("2 copies in permuted colours", "rises by", "one puzzle at batch 1", "entropy of halting"):
        assert words in shown
    assert not {"color_copies", "sharpness", "latency"} & set(told(made.eval("small", "--json", "--views", "1")))


def test_parts_off_and_other_settings_are_noted(made: Made) -> None:
    words = ["--views", "1", "--ablate", "identity", "--set", "halting.max_segments=1"]
    row = told(made.eval("small", "--json", *words))
    assert len(row["halting"]["histogram"]) == 1 and row["identity_sensitivity"] == 0.0
    assert row["notes"][-2].startswith("switched off: all that is told")
    assert row["notes"][-1] == "evaluated with halting.max_segments=1"
    words = ["--set", "input.canonicalize_colors=true", "--set", "input.residual_permutation=true"]
    canonical = told(made.eval("small", "--json", "--views", "1", *words))
    assert canonical["loss"] != told(made.eval("small", "--json", "--views", "1"))["loss"]


def test_text_shows_every_trivial_padded_accuracy(made: Made) -> None:
    result = made.eval("small")
    assert result.exit_code == 0
    for words in ("pass@2", "padded 30x30", "pad ", "black ", "frequent ", "copy ", "best trivial", "transductive"):
        assert words in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing"], 2, "there is no run 'missing'"),
        (["small@3"], 1, "no whole snapshot '3'"),
        (["small@first"], 2, "@best"),
        (["small", "--set", "model.hidden=64"], 2, "only evaluation settings"),
        (["small", "--set", "evaluation.batch=none"], 2, "evaluation.batch"),
        (["small", "--set", "halting.bias=1.0"], 2, "only evaluation settings"),
        (["small", "--set", "input.object_features=true"], 2, "input.object_features"),
        (["small", "--ablate", "wings"], 2, "there are identity, "),
        (["small", "--color-copies", "0"], 2, "--color-copies"),
        (["small", "--views", "0"], 2, "--views"),
        (["small", "--split", "train"], 2, "--split"),
        (["small", "--data", "nowhere.h5"], 1, "nowhere.h5"),
    ],
)
def test_mistakes_are_told_in_two_lines(made: Made, arguments: list[str], code: int, words: str) -> None:
    result = made.eval(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr
    errors = result.stderr[result.stderr.index("error: ") :]
    assert len(errors.splitlines()) <= 2


def test_other_tasks_are_refused(made: Made, tmp_path: Path) -> None:
    write_built(build([Source("made", make_tasks(12, 2))]), tmp_path / "other.h5")
    result = made.eval("small", "--data", str(tmp_path / "other.h5"))
    assert result.exit_code == 1 and "Give its own data file with --data" in result.stderr


def test_a_damaged_snapshot_is_refused(made: Made, tmp_path: Path) -> None:
    whole = made.runs / "small" / "checkpoints" / "step-00000002"
    broken = tmp_path / "step-00000002"
    broken.mkdir()
    for file in whole.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = broken / "evaluation.safetensors"
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    weights.write_bytes(raw)
    result = made.eval(str(broken))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "evaluation.safetensors has changed since it was written" in result.stderr
