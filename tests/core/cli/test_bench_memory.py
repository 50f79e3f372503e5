"""`hrm bench memory` as a user types it: the parts, what fits, the measured peak, and wrong use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hrm_core.cli.main import cli


def hrm(*words: str) -> Result:
    return CliRunner().invoke(cli, ["bench", "memory", *words])


def test_a_table_of_parts_and_what_fits() -> None:
    result = hrm()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["GiB,", "laptop,", "predicted", "references", "kernels"]
    columns = [[float(cell) for cell in line.split()[-2:]] for line in lines[1:-3]]
    parts, peak = columns[:-1], columns[-1]
    for column in range(2):
        assert sum(part[column] for part in parts) == pytest.approx(peak[column], abs=0.01)
    assert peak[1] < 2.5 < peak[0]
    assert "backward of 47 x 30x30" in lines[-2] and "batch 320 x 1 for these slots" in lines[-2]
    assert "x 1 at most" in lines[-3] and lines[-3].startswith("references")
    assert "of the host's memory (pinned)" in lines[-1]


def test_json_for_an_experiment_a_device_and_a_limit() -> None:
    words = ("EXP-00", "data.canvases=[30]", "training.batch=256", "training.accumulation=1")
    result = hrm(*words, "--device", "h100", "--limit", "10", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["experiment"], found["device"], found["limit_gib"], found["measured"]) == ("EXP-00", "h100", 10, None)
    for name in ("eager", "kernels"):
        assert sum(found[name]["parts"].values()) == found[name]["peak_bytes"]
        assert found[name]["slots"] == {"30": 256}
    assert found["kernels"]["peak_gib"] < 10 < found["eager"]["peak_gib"]
    assert found["kernels"]["largest_batch_same_slots"] == [256, 1]
    batch, pieces = found["eager"]["largest_batch_same_slots"]
    assert batch * pieces >= 256 > batch


def test_on_a_cpu_there_are_no_kernels() -> None:
    found = json.loads(hrm("demo", "--device", "cpu", "--json").stdout)
    assert found["kernels"] is None
    assert "CUDA context" not in found["eager"]["parts"]


def test_where_nothing_fits() -> None:
    result = hrm("--limit", "0.5")
    assert result.exit_code == 0
    assert "in 0.5 GiB fit none for these slots, batch none x 1 at most" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [(("EXP-99",), "EXP-99"), (("EXP-00", "training.bach=3"), "training.batch"), (("--limit", "0"), "--limit")],
)
def test_wrong_use_is_told_in_two_lines(words: tuple[str, ...], said: str) -> None:
    result = hrm(*words)
    assert result.exit_code == 2 and result.stdout == ""
    assert len(result.stderr.splitlines()) <= 2 and said in result.stderr


def test_predicting_needs_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['hrm', 'bench', 'memory', '--json'];"
        "from hrm_core.cli.bench_memory_command import memory; memory(['EXP-00', '--json'], standalone_mode=False);"
        "sys.exit(bool({'torch', 'numpy', 'h5py'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_measured_here_beside_the_prediction(arc1_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINETO_LOG_LEVEL", "99")
    small = ("model.hidden=128", "model.heads=2", "model.h_layers=1", "model.l_layers=1", "data.subset=fits7")
    words = ("EXP-00", *small, "training.batch=4", "training.accumulation=1", "training.device=cpu")
    result = hrm(*words, "--measure", "--data", str(arc1_file), "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["measured"]
    assert found["device"] == "cpu"
    assert abs(found["difference_percent"]) < 10
    assert found["predicted"]["slots"] == {"7": 4}
    told = hrm(*words, "--measure", "--data", str(arc1_file)).stdout.splitlines()[-1]
    assert told.startswith("measured here (cpu, ") and told.endswith("%)")
