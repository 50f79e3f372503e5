"""A data file that is removed or replaced while a run goes on: told once, and once more when it is back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_trainer import QUIET, TINY_MODEL, events_of

from hrm_core.cli import run_commands, sweep_command
from hrm_core.cli.main import cli
from hrm_core.data.file import digest_path
from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.reader import events
from hrm_core.training import data_watch, session
from hrm_core.training.data_watch import DataWatch
from hrm_core.training.trainer import Trainer


@pytest.fixture
def file(arc1_file: Path, tmp_path: Path) -> Path:
    """A data file of one's own, with its sha256."""
    place = tmp_path / "data" / "arc.h5"
    place.parent.mkdir()
    for source, target in ((arc1_file, place), (digest_path(arc1_file), digest_path(place))):
        shutil.copy2(source, target)
    return place


def watch(file: Path) -> tuple[DataWatch, list[str]]:
    told: list[str] = []
    return DataWatch(file, lambda kind, sentence: told.append(f"{kind}: {sentence}")), told


def test_gone_and_back_are_told_once_each(file: Path, tmp_path: Path) -> None:
    seen, told = watch(file)
    seen.look(force=True)
    assert told == []
    file.rename(tmp_path / "aside")
    for _ in range(3):
        seen.look(force=True)
    assert told == [f"data_missing: The data file {file} is not there any more; a resume needs it."]
    shutil.copyfile(tmp_path / "aside", file)  # another file of the same bytes
    for _ in range(2):
        seen.look(force=True)
    assert told[1:] == [f"data_back: The data file {file} is there again, the same as before."]
    digest_path(file).unlink()
    seen.look(force=True)
    assert told[2] == f"data_missing: The data file {digest_path(file)} is not there any more; a resume needs it."


def test_other_bytes_in_its_place_are_told_and_a_new_date_is_not(file: Path) -> None:
    whole = file.read_bytes()
    seen, told = watch(file)
    os.utime(file, (1, 1))
    seen.look(force=True)
    assert told == []
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))  # the same size
    seen.look(force=True)
    assert [line.partition(":")[0] for line in told] == ["data_changed"]
    file.unlink()
    seen.look(force=True)
    file.write_bytes(whole)
    seen.look(force=True)
    assert [line.partition(":")[0] for line in told] == ["data_changed", "data_missing", "data_back"]


def test_another_file_with_a_digest_of_its_own_is_other_data(file: Path) -> None:
    seen, told = watch(file)
    file.write_bytes(b"other")
    digest_path(file).write_text("d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa  arc.h5\n")
    seen.look(force=True)
    assert [line.partition(":")[0] for line in told] == ["data_changed"]


def test_what_went_before_the_watch_began_is_told_too(file: Path) -> None:
    file.unlink()
    seen, told = watch(file)
    seen.look(force=True)
    assert [line.partition(":")[0] for line in told] == ["data_missing"]


def test_it_is_not_looked_at_in_each_step(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, told = watch(file)
    file.unlink()
    seen.look()
    assert told == []
    monkeypatch.setattr(data_watch, "EVERY_S", 0.0)
    seen.look()
    assert len(told) == 1


def test_a_run_goes_on_says_so_and_what_a_resume_needs(
    arc1_file: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, made = tmp_path / "run", Trainer._one_step
    monkeypatch.setattr(data_watch, "EVERY_S", 0.0)
    monkeypatch.setattr("hrm_core.training.board.STATUS_EVERY_S", 0.0)

    def step(trainer: Trainer) -> None:
        if trainer.progress.step == 2:
            file.unlink()
        if trainer.progress.step == 4:
            shutil.copyfile(arc1_file, file)
        if trainer.progress.step == 7:
            file.unlink()
        made(trainer)

    monkeypatch.setattr(Trainer, "_one_step", step)
    recipe = build_recipe("demo", (*TINY_MODEL, *QUIET, "training.max_steps=8", "data.validate_limit=16"))
    assert session.start_run(folder, recipe, file) == "finished"
    kinds = [(row["kind"], row["step"]) for row in events(folder) if row["kind"].startswith("data_")]
    assert kinds == [("data_missing", 3), ("data_back", 5), ("data_missing", 8)]
    row = events_of(folder, "data_missing")[0]
    assert str(file) in row["sentence"] and "--data FILE" in row["advice"]
    assert "The run has read it and goes on. Put it back" in (folder / "log.txt").read_text()
    words = ["resume", "run", "training.max_steps=9", "--runs", str(tmp_path)]
    refused = CliRunner().invoke(cli, words)
    assert refused.exit_code == 1
    assert f"the data in {file}, which is not there any more.\n       Give the same data with --data" in refused.output
    done = CliRunner().invoke(cli, [*words, "--data", str(arc1_file)])
    assert done.exit_code == 0, done.output
    assert len(events_of(folder, "data_missing")) == 2, "the file that it goes on with is there"


def test_a_run_on_a_link_with_its_sha256_beside_it_is_resumed_by_that_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.h5"
    link.symlink_to(file)
    digest_path(file).rename(digest_path(link))
    recipe = build_recipe("demo", (*TINY_MODEL, *QUIET, "training.max_steps=2", "data.validate_limit=16"))
    assert session.start_run(tmp_path / "run", recipe, link) == "finished"
    assert events_of(tmp_path / "run", "data_missing") == []
    assert session.resume_run(tmp_path / "run", ("training.max_steps=3",)) == "finished"


def test_what_a_link_leads_to_is_looked_at(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.h5"
    link.symlink_to(file)
    digest_path(link).symlink_to(digest_path(file))
    seen, told = watch(link)
    os.utime(file, (1, 1))
    seen.look(force=True)
    assert told == []
    file.write_bytes(b"other")
    seen.look(force=True)
    assert [line.partition(":")[0] for line in told] == ["data_changed"]


def test_a_link_to_the_data_is_handed_on_as_it_is(
    tmp_path: Path, arc1_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sha256 lies beside the link, not beside what it leads to: a detached run and a sweep must get the link."""
    link = tmp_path / "linked.h5"
    link.symlink_to(arc1_file)
    shutil.copyfile(digest_path(arc1_file), digest_path(link))
    started: list[list[str]] = []
    monkeypatch.setattr(run_commands, "start_detached", lambda folder, words: started.append(words))
    monkeypatch.chdir(tmp_path)
    words = ["run", "demo", "--detach", "--name", "one", "--runs", str(tmp_path / "runs"), "--data", link.name]
    assert CliRunner().invoke(cli, words).exit_code == 0
    assert started[0][started[0].index("--data") + 1] == str(link)
    recipe = build_recipe("demo").recipe
    assert sweep_command._data_files([recipe], Path(link.name)) == {recipe.data.source: link}
