"""Small files of a snapshot that mean harm, each with the sentence that it ends in; the good ones beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hrm_core.errors import UserError
from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import from_toml, to_toml
from hrm_core.training.checkpoint import load_tensors
from hrm_core.training.snapshot_files import check_size, read_progress, read_recipe, read_task_ids, recalled

DEEP = "[" * 100_000


def test_good_files_are_read(tmp_path: Path) -> None:
    recipe = build_recipe("demo", []).recipe
    (tmp_path / "recipe.toml").write_text(to_toml(recipe))
    (tmp_path / "tasks.json").write_text('["a", "b"]')
    (tmp_path / "progress.json").write_text('{"step": 3, "techniques": {}}')
    assert read_recipe(tmp_path) == recipe
    assert read_task_ids(tmp_path) == ("a", "b")
    assert read_progress(tmp_path) == {"step": 3, "techniques": {}}


@pytest.mark.parametrize("text", [DEEP, "9" * 10_000, "{", "5", '{"a": 1}', "[1]", "\x00", ""])
def test_task_ids_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "tasks.json").write_text(text)
    with pytest.raises(UserError, match=r"tasks\.json"):
        read_task_ids(tmp_path)


@pytest.mark.parametrize("text", [DEEP, "9" * 10_000, "[]", '{"techniques": []}'])
def test_progress_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "progress.json").write_text(text)
    with pytest.raises(UserError, match=r"progress\.json"):
        read_progress(tmp_path)


def test_pipes_links_and_giants_are_no_files_of_a_snapshot(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tasks.json")
    (tmp_path / "recipe.toml").symlink_to("/etc/passwd")
    with (tmp_path / "progress.json").open("wb") as file:
        file.truncate(65 * 2**20)
    for read in (read_task_ids, read_recipe, read_progress):
        with pytest.raises(UserError, match="no plain file, or larger"):
            read(tmp_path)


def test_values_that_do_not_suit_become_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ValueError") as caught, recalled(tmp_path):
        int("x\x1b")
    assert "\x1b" not in caught.value.message
    with pytest.raises(UserError, match="RecursionError"), recalled(tmp_path):
        raise RecursionError


@pytest.mark.parametrize("text", ["a = " + DEEP, "a = " + "9" * 10_000, "x" * 10**6 + " = 1", "[" + "a." * 5000 + "a]"])
def test_a_recipe_of_any_depth_or_length_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        from_toml(text)
    assert len(caught.value.message) < 300


def test_a_model_larger_than_its_weights_is_not_made(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file({"a": np.zeros(2_000_000, np.float32)}, weights)
    small = build_recipe("demo", []).recipe
    check_size(weights, small, 2)
    huge = build_recipe("EXP-00", ["model.hidden=4096", "model.heads=64", "model.h_layers=32"]).recipe
    with pytest.raises(UserError, match="do not fit the recipe"):
        check_size(weights, huge, 2)
    with pytest.raises(UserError, match="do not fit the recipe"):
        check_size(weights, small, 10**6)
    weights.write_bytes((2**62).to_bytes(8, "little") + json.dumps({}).encode())
    with pytest.raises(UserError, match="not readable as safetensors"):
        check_size(weights, small, 2)


def test_what_the_library_repeats_of_a_file_is_cut_short(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    head = json.dumps({"a": {"dtype": "F" * 100_000, "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights.write_bytes(len(head).to_bytes(8, "little") + head + b"\0" * 4)
    for read in (lambda: load_tensors(weights), lambda: check_size(weights, build_recipe("demo", []).recipe, 2)):
        with pytest.raises(UserError, match="not readable as safetensors") as caught:
            read()
        assert len(caught.value.message) < 250 + len(str(weights))
