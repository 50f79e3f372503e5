"""A real run and a real queue under umask 022 with a secret in the environment: who may read what they wrote, and
whether any byte of it is the secret."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hrm_core.torture.hostile import small_words

TOKEN = "hf_planted-5f1e2d3c"
pytestmark = pytest.mark.timeout(400)


def environment(home: Path) -> dict[str, str]:
    """Of somebody who keeps tokens in the environment; every folder that we write to is under `home`."""
    ours = {"HOME": str(home), "XDG_RUNTIME_DIR": "", "OMP_NUM_THREADS": "1"}
    hidden = ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    secrets = {"HF_TOKEN": TOKEN, "WANDB_API_KEY": TOKEN, "AWS_SECRET_ACCESS_KEY": TOKEN, "HRM_TOKEN": TOKEN}
    return {**kept, **ours, **secrets}


def command(home: Path, *words: str, module: str = "hrm_core.cli.main") -> subprocess.CompletedProcess[str]:
    """A command as a user with umask 022 calls it."""
    argv = [sys.executable, "-m", module, *words]
    return subprocess.run(
        argv, env=environment(home), cwd=home, umask=0o022, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def home(arc1_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which a run was trained by hand, another by the queue, and the console was looked at."""
    folder = tmp_path_factory.mktemp("home")
    runs = ("--runs", str(folder / "kept" / "runs"))
    data = ("--data", str(arc1_file))
    done = command(folder, "run", *small_words(*runs, *data, "--name", "one"))
    assert done.returncode == 0, done.stderr
    assert command(folder, "queue", "add", *small_words(*runs, *data, "--name", "two")).returncode == 0
    done = command(folder, "queue", "start", "--foreground", *runs)
    assert done.returncode == 0, done.stderr
    assert (folder / "kept" / "runs" / "two" / "result.json").exists(), done.stdout
    assert command(folder, "archive", "promote", "one@best", "kept", *runs).returncode == 0
    assert command(folder, "stop", "one", *runs).returncode in (0, 1)
    assert command(folder, *runs, "--once", module="hrm_console").returncode == 0
    return folder


def written(home: Path) -> list[Path]:
    """Everything under the home but the home itself."""
    found = sorted(home.rglob("*"))
    names = {path.name for path in found}
    assert {"log.txt", "run.json", "queue.json", "output.txt", "weights.safetensors", "launch.json"} <= names
    return found


@pytest.mark.slow
def test_files_are_0600_and_folders_0700_whatever_the_umask_was(home: Path) -> None:
    for path in written(home):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert not mode & 0o077, f"{path}: {mode:o}"


@pytest.mark.slow
def test_no_byte_of_a_token_in_the_environment_was_written(home: Path) -> None:
    for path in written(home):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path
        assert TOKEN not in str(path)


def test_a_command_that_only_writes_a_folder_writes_it_for_the_user_alone(tmp_path: Path) -> None:
    """The cheap half of the above, in every run of the suite."""
    runs = ("--runs", str(tmp_path / "runs"))
    done = command(tmp_path, "queue", "add", "demo", *runs, "--hold")
    assert done.returncode == 0, done.stderr
    found = [path for path in tmp_path.rglob("*") if "runs" in path.parts]
    assert any(path.name == "queue.json" for path in found)
    for path in found:
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()
