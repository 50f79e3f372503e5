"""`hrm export`: every format opened again says what the model says; one that says something else is not kept."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_step import NUM_TASKS, make_parts, recipe

from hrm_core.cli.export_command import export
from hrm_core.errors import UserError
from hrm_core.interchange import export_model as module
from hrm_core.interchange.export_model import Exported, check_possible, compare, export_model, facts_of, random_calls
from hrm_core.interchange.exported import ExportedModel, original_answer
from hrm_core.interchange.run_exported import Facts, Format, open_exported
from hrm_core.interchange.weights_file import read_weights
from hrm_core.model.hrm import HRM
from hrm_core.runs.atomic import ABANDONED_S, sibling
from hrm_core.training.checkpoint import Snapshot, save_snapshot

SIDE, SEGMENTS = 5, 2


def made(**changes: Any) -> Snapshot:
    """A small model that was never trained, but whose every part has a say."""
    chosen = recipe(**{"halting__max_segments": SEGMENTS, **changes})
    model = HRM(chosen, NUM_TASKS)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (model.rows.table, model.q_weight, *model.embeddings.parameters()):
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
        model.q_bias.zero_()
    names = tuple(f"task-{number}" for number in range(NUM_TASKS))
    return Snapshot(Path("small"), chosen, model, 7, "small", names, "raw")


def written(folder: Path, to: Format, snapshot: Snapshot, halting: bool = False, batch: int = 1) -> Exported:
    return export_model(snapshot, facts_of(snapshot, to, None, None, batch, halting), folder)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"identity__place": "both", "identity__prefix_tokens": 3},
        {"identity__kind": "none"},
        {"identity__kind": "per_augmentation", "augment__pool": 4, "augment__color_probability": 0.0},
        {"model__share_levels": True, "model__inject_input": False, "model__positions": "rope1d"},
        {"halting__kind": "q_learning", "model__h_cycles": 3, "model__l_cycles": 1},
    ],
)
def test_written_again_it_computes_the_same(changes: dict[str, Any]) -> None:
    snapshot = made(**changes)
    facts = facts_of(snapshot, "torch-export", None, None, 3, False)
    plain = ExportedModel(snapshot.model, SIDE, SEGMENTS)
    for tokens, row in random_calls(facts, 2):
        # One segment after another, as the loop of the graph does.
        embedded = plain.embed(tokens, row)
        high, low = plain.high_start.expand(embedded.shape), plain.low_start.expand(embedded.shape)
        low = low if plain.inject else low + embedded
        for _ in range(SEGMENTS):
            high, low = plain.segment(high, low, embedded)
        logits, halting = original_answer(snapshot.model, tokens, row, SIDE, SEGMENTS)
        torch.testing.assert_close(plain.q_logits(high), halting, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(high[:, plain.prefix :] @ plain.head.T, logits, rtol=1e-4, atol=1e-4)


def test_the_identity_has_a_say() -> None:
    snapshot = made()
    tokens = torch.zeros(2, SIDE**2, dtype=torch.int32)
    logits, _ = original_answer(snapshot.model, tokens, torch.tensor([0, 1]), SIDE, SEGMENTS)
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("to", ["torch-export", "onnx"])
def test_a_program_says_what_the_model_says(tmp_path: Path, to: Format) -> None:
    found = written(tmp_path, to, made(), halting=True, batch=2)
    assert found.error < 1e-5
    assert found.path.parent == tmp_path and "side5-halting" in found.path.name
    assert [path.name for path in tmp_path.iterdir()] == [found.path.name]
    assert found.bytes == found.path.stat().st_size
    run = open_exported(found.path, to, threads=1)
    logits, halting = run(np.zeros((2, SIDE**2), np.int32), np.array([0, 4]))
    assert (logits.shape, halting.shape, logits.dtype) == ((2, SIDE**2, 12), (2, 2), np.float32)
    assert said_by_the_file(found.path, to) == found.facts


def said_by_the_file(path: Path, to: Format) -> Facts:
    if to == "onnx":
        import onnx

        model = onnx.load(path)
        assert [one.name for one in model.graph.input] == ["tokens", "identity"]
        assert "Loop" in {node.op_type for node in model.graph.node}
        return Facts.from_json({entry.key: entry.value for entry in model.metadata_props}["hrm"])
    extra = {"hrm": ""}
    torch.export.load(path, extra_files=extra)
    return Facts.from_json(extra["hrm"])


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute of a CPU's time, most of it the C++ compiler's
def test_a_compiled_package_says_what_the_model_says(tmp_path: Path) -> None:
    found = written(tmp_path / "model.pt2", "aoti", made())
    assert found.error < 1e-5 and found.path == tmp_path / "model.pt2"
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]


def test_weights_say_what_the_model_says_and_bring_the_recipe(tmp_path: Path) -> None:
    snapshot = made()
    found = written(tmp_path / "weights.safetensors", "safetensors", snapshot)
    model, facts = read_weights(found.path)
    assert found.error == 0 and facts == found.facts and model.recipe == snapshot.recipe
    assert all(torch.equal(value, snapshot.model.state_dict()[name]) for name, value in model.state_dict().items())
    found.path.write_bytes(found.path.read_bytes()[:100])
    with pytest.raises(UserError, match="no file of `hrm export --to safetensors`"):
        read_weights(found.path)


def test_halting_keeps_a_sample_where_it_said_halt() -> None:
    """Some of these halt in the first segment, some later; each has the logits of its own last segment."""
    snapshot = made(halting__max_segments=4)
    facts = facts_of(snapshot, "torch-export", None, None, 16, True)
    ((tokens, row),) = random_calls(facts, 1)
    steps = [original_answer(snapshot.model, tokens, row, SIDE, count) for count in range(1, 5)]
    last = [next((n for n in range(4) if steps[n][1][sample, 0] > 0), 3) for sample in range(16)]
    assert len(set(last)) > 1
    logits, halting = original_answer(snapshot.model, tokens, row, SIDE, 4, halting=True)
    for sample, count in enumerate(last):
        torch.testing.assert_close(logits[sample], steps[count][0][sample])
        torch.testing.assert_close(halting[sample], steps[count][1][sample])


def test_a_wrong_export_is_noticed_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_wrong_weight(path: Path, snapshot: Snapshot, facts: Facts) -> None:
        other = made()
        with torch.no_grad():
            other.model.head[0, 0] += 0.01
        module.write_weights(path, other, facts)

    monkeypatch.setitem(module.WRITERS, "safetensors", with_a_wrong_weight)
    with pytest.raises(UserError, match="says something else than the model") as raised:
        written(tmp_path, "safetensors", made())
    assert raised.value.exit_code == 1 and len(raised.value.message.splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spoil", [lambda x: x[:, :-1], lambda x: x * np.nan, lambda x: x.astype(np.float64)])
def test_other_shapes_types_and_nan_are_far_from_the_model(spoil: Callable[[Any], Any]) -> None:
    snapshot = made()
    facts = facts_of(snapshot, "safetensors", None, None, 1, False)

    def run(tokens: Any, row: Any) -> Any:
        logits, halting = original_answer(
            snapshot.model, torch.from_numpy(tokens), torch.from_numpy(row), SIDE, SEGMENTS
        )
        return spoil(logits.numpy()), halting.numpy()

    assert compare(run, snapshot.model, facts) == (float("inf"), 0.0)


def test_an_operation_that_cannot_be_exported_is_two_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("No decompositions registered for aten.flip\nand much more\n" * 20)

    monkeypatch.setattr(module, "_program", lambda snapshot, facts: None)
    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(UserError, match=r"aten\.flip\n.*try --to torch-export, or another version") as raised:
        written(tmp_path, "onnx", made())
    assert raised.value.exit_code == 1 and len(raised.value.message.splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    with pytest.raises(UserError, match=r"^--to onnx needs onnxscript: pip install onnxscript$"):
        check_possible("onnx", "cpu")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"^--to aoti needs a C\+\+ compiler, .* apt install g\+\+$"):
        check_possible("aoti", "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="no CUDA device"):
        check_possible("torch-export", "cuda")
    with pytest.raises(UserError, match="has no device"):
        check_possible("safetensors", "cuda")


def test_features_of_objects_are_refused() -> None:
    snapshot = made(input__object_features=True)
    with pytest.raises(UserError, match=r"input\.object_features.*\n.*safetensors"):
        ExportedModel(snapshot.model, SIDE, SEGMENTS)


def test_places_that_are_taken_or_of_another_ending(tmp_path: Path) -> None:
    (tmp_path / "there.safetensors").touch()
    with pytest.raises(UserError, match="is already there"):
        written(tmp_path / "there.safetensors", "safetensors", made())
    with pytest.raises(UserError, match=r"ends in \.safetensors"):
        written(tmp_path / "model.bin", "safetensors", made())
    assert [path.name for path in tmp_path.iterdir()] == ["there.safetensors"]


def test_a_name_from_a_snapshot_leaves_the_folder_alone(tmp_path: Path) -> None:
    snapshot = replace(made(), run_id="../../up\x1b[2J/.there")
    found = written(tmp_path, "safetensors", snapshot)
    assert found.path == tmp_path / "up-2J-.there-7-side5.safetensors" and found.path.is_file()


@pytest.mark.parametrize(
    ("name", "value"),
    [("hrm", "{}"), ("hrm", '{"format": 1, "side": "5", "segments": 2}'), ("tasks", "7"), ("recipe", None)],
)
def test_headers_that_say_something_else_are_a_line(tmp_path: Path, name: str, value: str | None) -> None:
    found = written(tmp_path / "weights.safetensors", "safetensors", made())
    with safe_open(found.path, framework="pt") as file:
        said = {**file.metadata(), name: value}
    save_file(load_file(found.path), tmp_path / "other.safetensors", {k: v for k, v in said.items() if v is not None})
    with pytest.raises(UserError, match="no file of `hrm export --to safetensors`"):
        read_weights(tmp_path / "other.safetensors")


def test_the_command_tells_the_error(tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    parts = make_parts(recipe(halting__max_segments=SEGMENTS))
    names = tuple(f"task-{number}" for number in range(NUM_TASKS))
    save_snapshot(folder, parts, names, {"kind": "checkpoint", "step": 3, "run_id": "small"})
    out = tmp_path / "model.safetensors"
    words = [
        str(folder),
        "--to",
        "safetensors",
        "--out",
        str(out),
        "--runs",
        str(tmp_path),
        "--segments",
        "1",
        "--json",
    ]
    said = CliRunner().invoke(export, words, catch_exceptions=False)
    value = json.loads(said.stdout)
    assert (value["error"], value["side"], value["segments"], value["identity_rows"]) == (0.0, SIDE, 1, NUM_TASKS)
    assert value["bytes"] == out.stat().st_size


def test_what_a_killed_export_left_goes_with_a_later_one(tmp_path: Path) -> None:
    left = sibling(tmp_path / "old", "tmp")
    left.mkdir()
    os.utime(left, (time.time() - 2 * ABANDONED_S,) * 2)
    written(tmp_path / "model.safetensors", "safetensors", made())
    assert not left.exists()
