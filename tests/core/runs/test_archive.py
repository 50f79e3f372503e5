"""The listing of archived bests against folders of the real writer: order, marks, lineage, and what is read again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from machine_speed import slowness
from made_archive import evaluation_of, make_archived, make_snapshot

from hrm_core.errors import UserError
from hrm_core.runs import archive as archive_module
from hrm_core.runs.archive import Archive, metric_names, ordered, pin_path
from hrm_core.runs.archive_changes import promote
from hrm_core.runs.archive_details import config_changes, read_details
from hrm_core.runs.archive_lineage import lineage_of
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.snapshot_names import find_snapshot
from hrm_core.runs.snapshots import read_whole_meta
from hrm_core.runs.writer import RunWriter


def names(runs: Path, by: str = "exact") -> list[str]:
    return [entry.name for entry in ordered(Archive(runs).read().entries, by)]


def test_no_folder_and_no_archive_are_empty_listings(tmp_path: Path) -> None:
    assert Archive(tmp_path / "none").read().entries == ()
    assert Archive(tmp_path).read().entries == ()


def test_every_best_of_every_run_is_listed_with_what_trivial_predictors_get(tmp_path: Path) -> None:
    make_archived(tmp_path, "one", {10: 0.1, 20: 0.3})
    make_archived(tmp_path, "two", {30: 0.2}, begun=5)
    listing = Archive(tmp_path).read()
    assert [entry.name for entry in listing.entries] == ["one@10", "one@20", "two@30"]
    entry = listing.entries[1]
    assert entry.metric("exact") == 0.3
    assert entry.trivial("exact") == ("copy", 0.009)
    assert entry.lift("exact") == pytest.approx(0.291)
    assert entry.origin.experiment == "EXP-00"
    assert entry.origin.preset == "demo"
    assert [one.is_best for one in listing.entries] == [False, True, True]
    meta = read_whole_meta(entry.folder)
    assert meta is not None
    assert entry.digest() == meta["files"]["evaluation.safetensors"]["sha256"]
    files = [path for one in listing.entries for path in one.folder.iterdir()]
    assert listing.disk_bytes == sum(path.stat().st_size for path in files)


def test_orders(tmp_path: Path) -> None:
    make_archived(tmp_path, "one", {10: 0.1, 20: 0.3}, size=5000)
    make_archived(tmp_path, "two", {30: 0.2}, begun=5, metrics={"odd_one": 0.5})
    assert names(tmp_path) == ["one@20", "two@30", "one@10"]
    assert names(tmp_path, "loss") == ["one@20", "two@30", "one@10"]
    assert names(tmp_path, "newest") == ["two@30", "one@20", "one@10"]
    assert names(tmp_path, "odd_one")[0] == "two@30"
    assert names(tmp_path, "size")[2] == "two@30"
    listing = Archive(tmp_path).read()
    assert metric_names(listing.entries) == ["exact", "cell_accuracy", "odd_one"]
    with pytest.raises(UserError, match="choose of exact, cell_accuracy, odd_one, loss, newest, size"):
        ordered(listing.entries, "exakt")
    assert ordered((), "exakt") == []


def test_ties_go_to_the_lower_loss_then_to_the_later_one(tmp_path: Path) -> None:
    text = "x"
    layout = RunFolder(tmp_path / "one")
    with RunWriter.create(layout, text, {"experiment": "EXP-00"}):
        for step, loss, minute in ((1, 1.0, 0), (2, 0.5, 1), (3, 0.5, 2)):
            make_snapshot(layout.best(step), "one", step, evaluation_of(step, 0.0, minute, loss=loss), text)
    assert names(tmp_path) == ["one@3", "one@2", "one@1"]


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1, 20: 0.3})
    reader, read = Archive(tmp_path), []
    inner = archive_module.read_entry
    monkeypatch.setattr(archive_module, "read_entry", lambda folder: (read.append(folder.name), inner(folder))[1])
    assert len(reader.read().entries) == 2
    assert len(read) == 2
    make_snapshot(layout.best(30), "one", 30, evaluation_of(30, 0.4, 9), "x")
    assert [entry.is_best for entry in reader.read().entries] == [False, True, True]
    assert read[2:] == ["best-00000030"]


def test_two_hundred_runs_list_in_well_under_a_second(tmp_path: Path) -> None:
    for number in range(200):
        layout = RunFolder(tmp_path / f"run-{number:03d}")
        for place in (layout.archive, layout.checkpoints):
            place.mkdir(parents=True)
        layout.run_json.write_text('{"experiment": "EXP-00"}')
        for step in (10, 20, 30):
            make_snapshot(layout.best(step), layout.run_id, step, evaluation_of(step, step / 100, number), "x", 10)
    reader = Archive(tmp_path)
    reader.read()
    seconds = []
    for _ in range(3):  # processor time, the best of three: other work on the machine is not ours to measure
        began = time.process_time()
        assert len(ordered(reader.read().entries, "exact")) == 600
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.9 * slowness()


def test_the_best_is_the_last_whole_one_and_what_the_status_names(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1, 20: 0.2, 30: 0.3})
    (layout.best(30) / "meta.json").unlink()
    entries = Archive(tmp_path).read().entries
    assert [(entry.step, entry.is_best, entry.damaged) for entry in entries] == [
        (10, False, False), (20, True, False), (30, True, True),
    ]  # fmt: skip
    assert find_snapshot(tmp_path, "one@best") == layout.best(20)


def test_an_entry_that_is_replaced_just_then_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one has been moved aside when it is read, and the new one is there when it is asked for."""
    layout = make_archived(tmp_path, "one", {10: 0.1})
    folder, aside = layout.best(10), tmp_path / "aside"
    mark, looks = archive_module._mark, 0

    def looked(path: Path) -> tuple[int, int]:
        nonlocal looks
        looks += 1
        found = mark(path)
        if looks == 2:  # the second look says that it has stayed away
            aside.rename(folder)
        return found

    monkeypatch.setattr(archive_module, "_mark", looked)
    folder.rename(aside)
    assert not Archive(tmp_path)._entry(folder).damaged
    assert looks > 2


def test_damaged_and_hostile_content_is_an_entry_that_says_so(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1, 20: 0.2})
    (layout.best(10) / "meta.json").write_bytes(b'{"files": [1, 2')
    (layout.best(20) / "evaluation.json").write_text('{"metrics": 3, "trivial": [], "loss": "x", "time_utc": 7}')
    layout.run_json.write_text('{"parent": {"run": "one", "step": "x"}, "recipe": []}')
    first, second = Archive(tmp_path).read().entries
    assert first.damaged
    assert first.metric("exact") == 0.1
    assert second.metric("exact") is None
    assert second.loss is None
    details = read_details(second, verify=True)
    assert details.problems is not None
    assert any("evaluation.json" in problem for problem in details.problems)
    assert details.lineage.ancestors[0].run == "one"  # it names itself: the walk ends


def test_promoted_snapshots_are_marks_on_their_source_and_entries_of_their_own_without_it(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1, 20: 0.2})
    before = Archive(tmp_path).read().disk_bytes
    promote(tmp_path, layout.best(10), "champion")
    reader = Archive(tmp_path)
    first, second = reader.read().entries
    assert (first.promoted, second.promoted) == (("champion",), ())
    assert first.kept
    meta = (tmp_path / "promoted" / "champion" / "meta.json").stat().st_size
    assert reader.read().disk_bytes == before + meta  # links cost nothing
    for path in layout.best(10).iterdir():
        path.unlink()
    layout.best(10).rmdir()
    entries = reader.read().entries
    assert [entry.name for entry in entries] == ["one@20", "champion"]
    assert entries[1].origin.experiment == "EXP-00"
    assert entries[1].origin.data == "/data/of/it.h5"
    assert entries[1].run_id == "one"
    assert entries[1].step == 10


def test_pins_go_with_the_run(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1, 20: 0.2})
    pin_path(layout.best(10)).touch()
    assert [entry.pinned for entry in Archive(tmp_path).read().entries] == [True, False]
    layout.path.rename(tmp_path / "other")
    assert [(entry.name, entry.pinned) for entry in Archive(tmp_path).read().entries] == [
        ("other@10", True), ("other@20", False),
    ]  # fmt: skip


def test_lineage_follows_parents_up_and_down_and_renamed_runs_by_their_weights(tmp_path: Path) -> None:
    root = make_archived(tmp_path, "root", {10: 0.1})
    meta = read_whole_meta(root.best(10))
    assert meta is not None
    digest = meta["files"]["evaluation.safetensors"]["sha256"]
    make_archived(tmp_path, "middle", {20: 0.2}, parent={"run": "root", "step": 10, "digest": digest})
    make_archived(tmp_path, "leaf", {30: 0.3}, parent={"run": "middle", "step": 20, "digest": "0" * 64})
    make_archived(tmp_path, "other", {30: 0.3}, parent={"run": "gone", "step": 1, "digest": "1" * 64})
    root.path.rename(tmp_path / "renamed")
    listing = Archive(tmp_path).read()
    by_name = {entry.name: entry for entry in listing.entries}
    leaf = lineage_of(listing, by_name["leaf@30"])
    assert [(one.run, one.step) for one in leaf.ancestors] == [("renamed", 10), ("middle", 20)]
    (branch,) = lineage_of(listing, by_name["renamed@10"]).branches
    assert (branch.run_id, branch.from_step) == ("middle", 10)
    assert [one.run_id for one in branch.branches] == ["leaf"]
    assert [one.run for one in lineage_of(listing, by_name["other@30"]).ancestors] == ["gone"]


def test_parents_that_go_in_a_circle_end_the_walk(tmp_path: Path) -> None:
    make_archived(tmp_path, "a", {10: 0.1}, parent={"run": "b", "step": 10, "digest": ""})
    make_archived(tmp_path, "b", {10: 0.1}, parent={"run": "a", "step": 10, "digest": ""})
    listing = Archive(tmp_path).read()
    lineage = lineage_of(listing, listing.entries[0])
    assert [one.run for one in lineage.ancestors] == ["a", "b"]
    assert [branch.run_id for branch in lineage.branches] == ["b"]


def test_details_hold_what_was_written(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1}, overrides=("optimizer.lr=0.01",))
    details = read_details(Archive(tmp_path).read().entries[0], verify=True)
    assert details.problems == ()
    assert details.status["global_step"] == 7
    assert details.log[-1] == "step 10: full validation, new best"
    assert details.evaluation["families"]["fill"]["pairs"] == 3
    assert details.control == "EXP-00, preset demo"
    assert [change[0] for change in details.changes] == ["optimizer.lr"]
    (layout.best(10) / "weights.safetensors").write_bytes(b"x")
    assert read_details(details.entry, verify=True).problems == ("weights.safetensors has 1 bytes instead of 1000",)
    assert read_details(details.entry).problems is None


def test_a_recipe_that_cannot_be_read_is_said() -> None:
    assert config_changes(b"\xff\xfe")[2] == "it is no text"
    assert config_changes(b"[[[")[2]
    assert config_changes(b"")[2]


@pytest.mark.parametrize("word", ["one", "one@last", "one@20", "one@best", "champion", "o@best"])
def test_what_names_a_snapshot(tmp_path: Path, word: str) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1, 20: 0.2})
    promote(tmp_path, layout.best(10), "champion")
    wanted = {
        "one": layout.checkpoint(20), "one@last": layout.checkpoint(20), "one@20": layout.best(20),
        "one@best": layout.best(20), "o@best": layout.best(20), "champion": tmp_path / "promoted" / "champion",
    }  # fmt: skip
    assert find_snapshot(tmp_path, word) == wanted[word]
    assert find_snapshot(tmp_path, str(wanted[word])) == wanted[word]


@pytest.mark.parametrize("word", ["two", "one@first", "one@7", "../one@best", "promoted/x", "", "@best", "champ"])
def test_what_names_none(tmp_path: Path, word: str) -> None:
    make_archived(tmp_path, "one", {10: 0.1})
    with pytest.raises(UserError):
        find_snapshot(tmp_path, word)
