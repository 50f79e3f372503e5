"""`hrm sweep --on ray`: six small runs of the real trainer on a Ray node of loopback, all in one table at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from ray_nodes import Nodes, own_nodes
from small_data import TINY, write_small

from hrm_core.cli.main import cli


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    yield from own_nodes(tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_six_small_runs_on_ray_are_all_in_one_table(nodes: Nodes, tmp_path: Path) -> None:
    nodes.start(cpus=2)
    settings = tmp_path / "config/hrm-console/settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f'[queue]\nray_address = "{nodes.address}"\n')
    data = write_small(tmp_path / "arc1.h5")
    runs = tmp_path / "runs"
    runs.mkdir()
    made = CliRunner().invoke(
        cli,
        [
            "sweep", "EXP-00", "EXP-00p", "--seeds", "3", "--on", "ray", "--gpus", "0", "--cpus", "1", "--name", "six",
            "--runs", str(runs), "--data", str(data), *TINY,
        ],
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "6 of 6: six-EXP-00" in made.output and "(trivial " in made.output
    listed = json.loads(CliRunner().invoke(cli, ["list", "--runs", str(runs), "--json"]).stdout)
    rows = listed if isinstance(listed, list) else listed["runs"]
    names = {f"six-{experiment}-s{seed}" for experiment in ("EXP-00", "EXP-00p") for seed in (1, 2, 3)}
    assert {row["run_id"] for row in rows} == names
    assert {row["state"] for row in rows} == {"finished"}
    assert all(row["where"].startswith("ray:") for row in rows)
    table = CliRunner().invoke(cli, ["list", "--runs", str(runs)], terminal_width=200)
    assert table.exit_code == 0 and table.output.count("ray:") == 6
    assert any(line.startswith("run ") and line.endswith("where") for line in table.output.splitlines())
    told = CliRunner().invoke(cli, ["compare", "--sweep", "six", "--runs", str(runs), "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["missing"] == []
