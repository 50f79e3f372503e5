"""From names to a file on disk: what is skipped, dropped or refused, and that failures leave nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hrm_core.data import prepare as prepare_module
from hrm_core.data.dataset import load_dataset
from hrm_core.data.file import read_content
from hrm_core.data.prepare import ensure_built, prepare, without_overlap
from hrm_core.data.sources.recipes import read_source
from hrm_core.errors import UserError
from hrm_core.recipe.data import DataConfig
from hrm_core.runs.layout import default_built_dir


def write_folder(folder: Path, **tasks: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in tasks.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def test_a_folder_becomes_a_file_that_loads(here: Path, task_json: Callable[..., Any]) -> None:
    folder = write_folder(here / "mine", a=task_json(), b=task_json())
    said: list[tuple[str, int, int]] = []
    made = prepare([str(folder)], progress=lambda *event: said.append(event))
    assert made.path.parent == default_built_dir() and made.path.name.startswith("mine-")
    assert made.num_bytes == made.path.stat().st_size and made.notes == ()
    assert load_dataset(made.path, DataConfig()).tasks.ids == ("a", "b")
    assert {what for what, _, _ in said} >= {"describing tasks", "looking for duplicates", "finding objects"}
    assert all(0 <= done <= of for _, done, of in said)


def test_bad_tasks_stop_it_unless_they_may_be_skipped(here: Path, task_json: Callable[..., Any]) -> None:
    bad = {f"bad{number}": task_json(test=[]) for number in range(4)}
    folder = write_folder(here / "mine", good=task_json(), **bad)
    with pytest.raises(UserError) as caught:
        prepare([str(folder)], here / "out.h5")
    first, second = caught.value.message.split("\n")
    assert first == "4 tasks not valid; correct them, or leave them out with --skip-bad"
    assert second.startswith('bad0.json: "test" has no pairs; bad1.json') and second.endswith("and 1 more")
    assert not (here / "out.h5").exists()
    made = prepare([str(folder)], here / "out.h5", skip_bad=True)
    assert made.notes[0].startswith("skipped 4 invalid tasks: bad0.json")
    content, _ = read_content(made.path, "")
    assert json.loads(content.attributes["provenance"])["sources"][0]["skipped"] == 4


def test_overlap_of_arc2_with_arc1_is_refused_unless_it_may_be_dropped() -> None:
    one, two = read_source("arc1"), read_source("arc2")
    with pytest.raises(UserError, match="774 tasks of arc2 also in arc1") as caught:
        without_overlap([one, two], drop=False)
    assert "--drop-overlap" in caught.value.message
    kept, notes = without_overlap([one, two], drop=True)
    assert [len(source.tasks) for source in kept] == [800, 346]
    assert notes == ["dropped 774 tasks of arc2 that came before"]
    again, _ = without_overlap([one, one], drop=True)
    assert [source.name for source in again] == ["arc1"]


def test_overlap_within_a_folder_is_refused_too(here: Path, task_json: Callable[..., Any]) -> None:
    write_folder(here / "mine" / "training", a=task_json())
    write_folder(here / "mine" / "evaluation", a=task_json())
    with pytest.raises(UserError, match=r"1 task of mine-.* also in another of its folders"):
        prepare([str(here / "mine")])
    assert len(prepare([str(here / "mine")], drop_overlap=True).content.tasks["id"]) == 1


def test_what_is_there_is_not_built_again(here: Path, task_json: Callable[..., Any]) -> None:
    folder = write_folder(here / "mine", a=task_json())
    path = ensure_built(str(folder))
    stamp = path.stat().st_mtime_ns
    assert ensure_built(str(folder)) == path and path.stat().st_mtime_ns == stamp


def test_a_folder_for_a_file_name_is_refused(here: Path) -> None:
    with pytest.raises(UserError, match="is a folder; give a file name"):
        prepare(["arc1"], here)


def test_a_full_disk_leaves_nothing_behind(
    here: Path, task_json: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(here / "mine", a=task_json())

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(prepare_module, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        prepare([str(folder)], here / "out" / "a.h5")
    assert list((here / "out").iterdir()) == []
