"""What a run does for the user while it goes on: words by the setting `notify.command`, and a machine kept awake."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from small_trainer import TINY_MODEL

from hrm_core.recipe.lay import build_recipe
from hrm_core.runs.inhibit import awake as real_awake
from hrm_core.runs.user_settings import write_settings
from hrm_core.training import session

COURSE = (
    *TINY_MODEL,
    "training.max_steps=4",
    "training.checkpoint_every=4",
    "schedule.warmup=1",
    "training.fast_validation_every=4",
    "training.full_validation_every=4",
)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the user's command leaves a file for each word, under settings of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "told"
    folder.mkdir()
    script = tmp_path / "tell.py"
    script.write_text(
        "import json, os, sys, time\n"
        f"path = os.path.join({str(folder)!r}, str(time.time_ns()))\n"
        "open(path + '.new', 'w').write(json.dumps(sys.argv[1:]))\n"
        "os.rename(path + '.new', path + '.json')\n"
    )
    write_settings({"notify.command": (sys.executable, str(script)), "runs.inhibit_sleep": False})
    return folder


def words(folder: Path, *titles: str) -> dict[str, str]:
    """What was told by title, once these are there (or after a minute)."""
    end, found = time.monotonic() + 60, {}
    while not set(titles) <= found.keys() and time.monotonic() < end:
        found = dict(json.loads(path.read_text()) for path in folder.glob("*.json"))
        time.sleep(0.02)
    return found


def test_a_run_tells_its_best_and_its_end(
    arc1_file: Path, told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(session, "awake", lambda name, wanted: asked.append((name, wanted)) or real_awake(name, wanted))
    assert session.start_run(tmp_path / "tiny", build_recipe("demo", COURSE), arc1_file) == "finished"
    found = words(told, "hrm: tiny finished", "hrm: tiny has a new best")
    assert found["hrm: tiny finished"] == "step 4: all steps done"
    best = found["hrm: tiny has a new best"]
    assert best.startswith("exact ") and "(best trivial " in best and best.endswith("at step 4")
    assert asked == [("tiny", False)]


def test_a_run_that_fails_tells_why(
    arc1_file: Path, told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Exception):
        """What goes wrong."""

    def run(self: object) -> str:
        raise Broken("no \x1b[2J luck")

    monkeypatch.setattr(session.Trainer, "run", run)
    with pytest.raises(Broken):
        session.start_run(tmp_path / "tiny", build_recipe("demo", COURSE), arc1_file)
    found = words(told, "hrm: tiny failed")
    assert found["hrm: tiny failed"].startswith("step 0: Broken: no ") and "\x1b" not in found["hrm: tiny failed"]
