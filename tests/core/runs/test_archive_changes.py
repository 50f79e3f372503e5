"""Pinning, promoting and pruning against real folders: what goes, what stays, and that nothing is left half-done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_archive import make_archived

from hrm_core.errors import UserError
from hrm_core.runs.archive import Archive, Listing
from hrm_core.runs.archive_changes import demote, live_runs, pin, plan_prune, promote, prune
from hrm_core.runs.files import mapping
from hrm_core.runs.snapshots import read_meta, verify_folder
from hrm_core.runs.writer import RunWriter


def listing_of(runs: Path) -> Listing:
    return Archive(runs).read()


def archived(runs: Path) -> list[str]:
    return [entry.name for entry in listing_of(runs).entries]


def test_a_pin_is_put_and_taken_away(tmp_path: Path) -> None:
    make_archived(tmp_path, "one", {10: 0.1})
    pin(listing_of(tmp_path).entries[0])
    pin(listing_of(tmp_path).entries[0])
    assert listing_of(tmp_path).entries[0].pinned
    pin(listing_of(tmp_path).entries[0], pinned=False)
    pin(listing_of(tmp_path).entries[0], pinned=False)
    assert not listing_of(tmp_path).entries[0].pinned


def test_a_promoted_snapshot_is_whole_says_where_it_is_from_and_shares_the_disk(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1}, parent={"run": "zero", "step": 3, "digest": "f" * 64})
    folder = promote(tmp_path, layout.best(10), "champion")
    assert verify_folder(folder) == []
    said = mapping(read_meta(folder), "promoted")
    assert (said["name"], said["from"], said["data"]) == ("champion", "one@10", "/data/of/it.h5")
    assert said["parent"] == {"run": "zero", "step": 3, "digest": "f" * 64}
    assert os.path.samefile(folder / "weights.safetensors", layout.best(10) / "weights.safetensors")


def test_a_promoted_checkpoint_leaves_its_state_behind(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1})
    folder = promote(tmp_path, layout.checkpoint(10), "last")
    assert sorted(os.listdir(folder)) == [
        "evaluation.safetensors", "meta.json", "recipe.toml", "tasks.json", "weights.safetensors",
    ]  # fmt: skip
    assert verify_folder(folder) == []


def test_a_promoted_snapshot_can_be_promoted_again_and_keeps_its_source(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1})
    again = promote(tmp_path, promote(tmp_path, layout.best(10), "champion"), "second")
    assert mapping(read_meta(again), "promoted")["from"] == "one@10"


def test_what_a_killed_promotion_left_goes_with_the_next_and_one_under_way_stays(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1})
    place = promote(tmp_path, layout.best(10), "first").parent
    left, going = place / ".second.tmp-77-0123abcd", place / ".third.tmp-78-0123abcd"
    for folder in (left, going):
        folder.mkdir()
        (folder / "weights.safetensors").write_bytes(b"half")
    os.utime(left, (1e9, 1e9))
    promote(tmp_path, layout.best(10), "fourth")
    assert not left.exists() and (going / "weights.safetensors").read_bytes() == b"half"


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a@b", ".hidden", "x" * 65, "one", "there"])
def test_names_that_are_refused(tmp_path: Path, name: str) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1})
    promote(tmp_path, layout.best(10), "there")
    with pytest.raises(UserError):
        promote(tmp_path, layout.best(10), name)
    assert os.listdir(tmp_path / "promoted") == ["there"]


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "link", "meta"])
def test_a_damaged_snapshot_is_not_promoted(tmp_path: Path, harm: str) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1})
    path = layout.best(10) / ("meta.json" if harm == "meta" else "weights.safetensors")
    data = path.read_bytes()
    path.unlink()
    if harm == "flip":
        path.write_bytes(b"!" + data[1:])
    elif harm == "cut":
        path.write_bytes(data[:-1])
    elif harm == "link":
        path.symlink_to("/etc/hostname")
    with pytest.raises(UserError):
        promote(tmp_path, layout.best(10), "champion")
    assert os.listdir(tmp_path / "promoted") == []


def test_demote_takes_only_promoted_ones_away(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1})
    promote(tmp_path, layout.best(10), "champion")
    for name in ("one", "..", "../one", "", ".", "other"):
        with pytest.raises(UserError):
            demote(tmp_path, name)
    demote(tmp_path, "champion")
    assert os.listdir(tmp_path / "promoted") == []
    assert verify_folder(layout.best(10)) == []


def test_the_parts_of_a_run_called_promoted_are_no_promoted_snapshots(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "promoted", {10: 0.1})
    with pytest.raises(UserError, match="no promoted snapshot 'checkpoints'"):
        demote(tmp_path, "checkpoints")
    assert verify_folder(layout.checkpoint(10)) == []
    assert archived(tmp_path) == ["promoted@10"]


def test_a_removal_that_the_disk_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1, 20: 0.2})
    promote(tmp_path, layout.best(20), "champion")
    plan = plan_prune(listing_of(tmp_path), 0, ())
    monkeypatch.setattr("hrm_core.runs.snapshots.shutil.rmtree", lambda path, ignore_errors: None)
    with pytest.raises(UserError, match="champion"):
        demote(tmp_path, "champion")
    with pytest.raises(UserError, match="best-00000010"):
        prune(tmp_path, plan.goes)


def test_the_oldest_go_first_and_no_more_than_the_budget_wants(tmp_path: Path) -> None:
    make_archived(tmp_path, "new", {10: 0.1, 20: 0.2, 30: 0.3}, begun=10)
    make_archived(tmp_path, "old", {10: 0.1, 20: 0.2}, begun=0)
    listing = listing_of(tmp_path)
    one = listing.entries[0].size_bytes
    plan = plan_prune(listing, listing.disk_bytes - one // 2, set())
    assert [entry.name for entry in plan.goes] == ["old@10"]
    plan = plan_prune(listing, listing.disk_bytes - 2 * one + one // 2, set())
    assert [entry.name for entry in plan.goes] == ["old@10", "new@10"]
    assert plan_prune(listing, listing.disk_bytes, set()).goes == ()
    everything = plan_prune(listing, 0, set())
    assert [entry.name for entry in everything.goes] == ["old@10", "new@10", "new@20"]
    assert everything.short == listing.disk_bytes - everything.frees
    gone = prune(tmp_path, everything.goes)
    assert [entry.name for entry in gone] == ["old@10", "new@10", "new@20"]
    assert archived(tmp_path) == ["new@30", "old@20"]
    assert listing_of(tmp_path).disk_bytes == everything.short


def test_bests_pinned_and_promoted_ones_stay(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1, 20: 0.2, 30: 0.3, 40: 0.4})
    listing = listing_of(tmp_path)
    pin(listing.entries[0])
    promote(tmp_path, layout.best(20), "champion")
    assert [entry.name for entry in plan_prune(listing_of(tmp_path), 0, set()).goes] == ["one@30"]


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    layout = make_archived(tmp_path, "one", {10: 0.1, 20: 0.2}, state="running")
    listing = listing_of(tmp_path)
    with RunWriter.open(layout) as writer:
        writer.status({"state": "running", "global_step": 20})
        live = live_runs(tmp_path, {"one"})
        assert live == {"one"}
        plan = plan_prune(listing, 0, live)
        assert plan.goes == ()
        assert plan.busy == ("one",)
        # Even where it was taken up only after the plan was made.
        assert prune(tmp_path, plan_prune(listing, 0, set()).goes) == []
        assert archived(tmp_path) == ["one@10", "one@20"]
    assert [entry.name for entry in prune(tmp_path, plan_prune(listing, 0, set()).goes)] == ["one@10"]


def test_what_was_pinned_after_the_plan_stays(tmp_path: Path) -> None:
    make_archived(tmp_path, "one", {10: 0.1, 20: 0.2})
    plan = plan_prune(listing_of(tmp_path), 0, set())
    pin(plan.goes[0])
    assert prune(tmp_path, plan.goes) == []
    assert archived(tmp_path) == ["one@10", "one@20"]


def test_nothing_outside_the_runs_folder_is_pruned(tmp_path: Path) -> None:
    make_archived(tmp_path / "a", "one", {10: 0.1, 20: 0.2})
    (tmp_path / "b").mkdir()
    plan = plan_prune(listing_of(tmp_path / "a"), 0, set())
    assert prune(tmp_path / "b", plan.goes) == []
    assert archived(tmp_path / "a") == ["one@10", "one@20"]
