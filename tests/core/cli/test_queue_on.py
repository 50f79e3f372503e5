"""`--on` of `hrm queue` and `hrm sweep`, and `hrm queue ray-start`: the words, and refusals in two lines at most."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ray_nodes import no_token

from hrm_core.cli.main import cli
from hrm_core.cli.queue_words import table
from hrm_core.cli.sweep_command import node_overrides
from hrm_core.runs.queue_store import read_queue


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port where nothing listens, as the settings name it."""
    no_token(tmp_path, monkeypatch)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        settings = tmp_path / "config/hrm-console/settings.toml"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'[queue]\nray_address = "127.0.0.1:{number}"\njob_gpus = 0\njob_cpus = 3\n')
        yield number


def hrm(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def refused(made: Result, code: int, *parts: str) -> None:
    assert made.exit_code == code, made.output
    assert len(made.output.splitlines()) <= 2 and all(part in made.output for part in parts), made.output


def test_an_entry_says_where_it_is_to_run_and_lists_have_the_column_then(port: int, tmp_path: Path) -> None:
    runs = ["--runs", str(tmp_path / "runs")]
    assert hrm("queue", "add", "EXP-00", *runs).exit_code == 0
    assert "  where  " not in hrm("queue", "list", *runs).output
    assert hrm("queue", "add", "EXP-00", "--on", "ray", *runs).exit_code == 0
    listed = hrm("queue", "list", *runs).output
    columns, rows = table(read_queue(tmp_path / "runs"))
    assert [row[columns.index("where")] for row in rows] == ["", "ray"]
    assert any("where" in line and line.startswith("place") for line in listed.splitlines())
    told = json.loads(hrm("queue", "list", "--json", *runs).stdout)
    assert [entry["on"] for entry in told["entries"]] == ["", "ray"]
    assert "  where      ray" in hrm("queue", "show", "2", *runs).output
    again = hrm("queue", "clone", "2", "training.seed=2", *runs)
    assert again.exit_code == 0 and read_queue(tmp_path / "runs").entries[2].on == "ray"


def test_what_is_no_back_end_is_refused(port: int, tmp_path: Path) -> None:
    runs = ["--runs", str(tmp_path / "runs")]
    words = "--on moon: choose local, slurm, ray."
    refused(hrm("queue", "add", "EXP-00", "--on", "moon", *runs), 2, words)
    refused(hrm("queue", "start", "--on", "moon", *runs), 2, words)
    refused(hrm("sweep", "EXP-00", "--seeds", "1", "--on", "moon", *runs), 2, words)
    assert read_queue(tmp_path / "runs").entries == ()


def test_no_ray_at_the_address_is_said_before_anything_is_started(port: int, tmp_path: Path) -> None:
    runs = ["--runs", str(tmp_path / "runs")]
    hrm("queue", "add", "EXP-00", "--on", "ray", *runs)
    words = (f"no Ray answers at 127.0.0.1:{port}", f"`hrm queue ray-start --address 127.0.0.1:{port}`")
    refused(hrm("queue", "start", *runs), 1, *words)
    refused(hrm("sweep", "EXP-00", "--seeds", "1", "--on", "ray", *runs), 1, *words)
    assert read_queue(tmp_path / "runs").entries[0].state == "waiting"
    assert not (tmp_path / "runs/sweeps").exists()


def test_no_slurm_is_said_before_anything_is_started(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = ["--runs", str(tmp_path / "runs")]
    hrm("queue", "add", "EXP-00", *runs)
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(hrm("queue", "start", "--on", "slurm", *runs), 1, "this machine has no SLURM", "use --on local")
    assert read_queue(tmp_path / "runs").entries[0].state == "waiting"
    assert not (tmp_path / "runs/queue/jobs").exists()


def test_a_node_is_started_with_the_token_and_joins_only_with_one(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda path, argv, environment: began.append((argv, environment)))
    address = f"127.0.0.1:{port}"
    refused(
        hrm("queue", "ray-start", "--join", "--address", address), 1, "there is no token in", "copy it from the machine"
    )
    refused(hrm("queue", "ray-start", "--address", "nowhere"), 2, "is no address of Ray")
    assert began == []
    assert hrm("queue", "ray-start", "--address", address, "--gpus", "0").exit_code == 0
    made = hrm("queue", "ray-start", "--address", "10.1.2.3:6379")
    assert "listen on every address of this machine" in made.output
    assert hrm("queue", "ray-start", "--join", "--address", address, "--cpus", "2").exit_code == 0
    assert [argv[3:] for argv, _ in began] == [
        [address, "head", "-", "0"],
        ["10.1.2.3:6379", "head", "-", "-"],
        [address, "join", "2", "-"],
    ]
    token = tmp_path / "config/hrm-console/ray_token"
    assert all(environment["RAY_AUTH_MODE"] == "token" for _, environment in began)
    assert all(environment["RAY_AUTH_TOKEN_PATH"] == str(token) for _, environment in began) and token.is_file()
    assert token.read_text() not in made.output


def test_a_run_elsewhere_uses_the_cores_that_it_is_given(port: int) -> None:
    assert node_overrides((), None, None) == ["training.threads=3"]
    assert node_overrides((), None, 5) == ["training.threads=5"]
    assert node_overrides((), 1, None) == node_overrides(("training.threads=9",), None, None) == []
