"""Names from anywhere against the places that they become: by the allow-list, and never outside their root."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrm_core.errors import UserError
from hrm_core.recipe.experiments import find_experiment
from hrm_core.runs.archive_changes import demote, promote
from hrm_core.runs.catalogue import find_run
from hrm_core.runs.housekeeping import rename_run
from hrm_core.runs.layout import check_name, new_run_id
from hrm_core.runs.snapshot_names import find_snapshot
from hrm_core.runs.snapshots import write_meta
from hrm_core.runs.sweeps import read_sweep
from hrm_core.runs.writer import RunWriter

ALLOWED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
PARTS = st.sampled_from(
    ["..", ".", "/", "\\", "\0", "~", "a", "-", "\n", "\x1b", "\u202e", "é", "Ａ", "@", "$(x)", " ", "*"]
)
NAMES = st.one_of(st.text(max_size=80), st.lists(PARTS, max_size=8).map("".join), st.text(alphabet=sorted(ALLOWED)))


@given(NAMES)
def test_a_name_is_one_folder_of_plain_letters_or_refused(name: str) -> None:
    good = 1 <= len(name) <= 64 and set(name) <= ALLOWED and name[0] not in "._-"
    if good:
        assert check_name(name) == name
        assert Path("/r", name).parent == Path("/r")
        return
    with pytest.raises(UserError) as caught:
        check_name(name)
    assert caught.value.message.isprintable()


@given(NAMES)
def test_a_run_id_made_of_any_experiment_is_a_good_name(name: str) -> None:
    check_name(new_run_id(name))


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs inside another, with a run, a snapshot, a file that is none of theirs, and links to it."""
    folder = tmp_path_factory.mktemp("place")
    RunWriter.create(folder / "runs" / "one", "x = 1\n", {}).close()
    for snapshot in (folder / "snapshot", folder / "outside" / "promoted" / "a"):
        snapshot.mkdir(parents=True)
        (snapshot / "recipe.toml").write_text("x = 1\n")
        write_meta(snapshot, {"step": 1})
    (folder / "runs" / "linked").symlink_to(folder / "outside")
    return folder


TAKERS: dict[str, Callable[[Path, str], object]] = {
    "promote": lambda place, name: promote(place / "runs", place / "snapshot", name),
    "demote": lambda place, name: demote(place / "runs", name),
    "rename": lambda place, name: rename_run(place / "runs" / "one", name),
    "create": lambda place, name: RunWriter.create(place / "runs" / name, "x = 1\n", {}).close(),
}


@pytest.mark.parametrize("taker", TAKERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES.filter(lambda name: not (set(name) <= ALLOWED and name[:1].isalnum())))
def test_no_name_that_is_not_allowed_changes_a_file(place: Path, taker: str, name: str) -> None:
    if taker == "create" and "/" in name:
        name = name.replace("/", "\\")  # a writer is given a path, of which the last part is the name
    before = tree(place)
    with pytest.raises((UserError, ValueError, AssertionError) if "\0" in name else UserError):
        TAKERS[taker](place, name)
    assert tree(place) == before


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_a_word_finds_a_run_of_the_folder_a_real_path_or_nothing(place: Path, name: str) -> None:
    before = tree(place)
    for find in (find_run, find_snapshot):
        try:
            found = find(place / "runs", name)
        except UserError as error:
            assert len(error.message) < 1000
            continue
        path = found if isinstance(found, Path) else found.path
        inside = os.path.realpath(path).startswith(os.path.realpath(place / "runs") + os.sep)
        assert inside or path == Path(name), path
    assert tree(place) == before


@given(NAMES)
def test_no_sweep_and_no_experiment_is_read_by_a_path(name: str) -> None:
    for read in (lambda: read_sweep(Path("/nowhere"), name), lambda: find_experiment(name)):
        try:
            read()
        except UserError as error:
            assert len(error.message) < 2000
