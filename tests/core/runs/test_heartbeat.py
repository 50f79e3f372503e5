"""The age of a heartbeat by its counter, and that nothing is kept of runs that are gone."""

from __future__ import annotations

from pathlib import Path

from hrm_core.runs.heartbeat import FEW, HeartbeatWatch


def test_of_removed_runs_nothing_is_kept_for_long_and_of_the_others_everything(tmp_path: Path) -> None:
    watch = HeartbeatWatch()
    kept = [tmp_path / f"kept-{number}" for number in range(10)]
    for folder in kept:
        folder.mkdir()
        watch.age_s(folder, 1, file_age_s=1000.0)
    for number in range(20 * FEW):
        watch.age_s(tmp_path / f"gone-{number}", 1, 0.0)
        assert len(watch) <= FEW
    assert all(watch.age_s(folder, 1, file_age_s=0.0) >= 1000.0 for folder in kept)


def test_more_runs_than_usual_are_all_remembered(tmp_path: Path) -> None:
    watch, folders = HeartbeatWatch(), [tmp_path / str(number) for number in range(2 * FEW + 9)]
    for folder in folders:
        folder.mkdir()
        watch.age_s(folder, 1, file_age_s=500.0)
    assert len(watch) == len(folders)
    assert all(watch.age_s(folder, 1, 0.0) >= 500.0 for folder in folders)
