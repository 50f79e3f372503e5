"""Places for runs: which GPUs are seen, claims that end with their process, battery or mains."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hrm_core.runs.devices import (
    CPU,
    Device,
    claim,
    claim_all,
    devices_here,
    environment_of,
    occupant,
    on_battery,
    release,
    release_all,
    visible,
)
from hrm_core.runs.launch import identity
from hrm_core.runs.locks import device_lock

GPUS = [Device("GPU-aa", "GPU 0"), Device("GPU-bb", "GPU 1"), Device("GPU-bc", "GPU 2")]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (None, ["GPU-aa", "GPU-bb", "GPU-bc"]),
        ("1", ["GPU-bb"]),
        ("2, 0", ["GPU-bc", "GPU-aa"]),
        ("GPU-bc,GPU-a", ["GPU-bc", "GPU-aa"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["GPU-aa"]),
        ("MIG-0123456789abc", ["MIG-0123456789abc"]),
    ],
)
def test_the_gpus_that_are_seen(wanted: str | None, names: list[str]) -> None:
    assert [device.name for device in visible(GPUS, wanted)] == names


def test_there_is_always_a_place() -> None:
    assert devices_here({"CUDA_VISIBLE_DEVICES": ""}) == (CPU,)
    assert environment_of((CPU,)) == {} and environment_of(GPUS[:1]) == {"CUDA_VISIBLE_DEVICES": "GPU-aa"}
    assert environment_of(GPUS[:2]) == {"CUDA_VISIBLE_DEVICES": "GPU-aa,GPU-bb"}


def test_a_claim_lasts_as_long_as_its_process(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    about = {"runs": "/a", "run": "r1"}
    assert claim(CPU, identity(), about, tmp_path)
    assert claim(CPU, identity(process.pid), about, tmp_path), "handed over to the run itself"
    there = occupant(CPU, tmp_path)
    assert there is not None and (there["run"], there["process"]["pid"]) == ("r1", process.pid)
    assert not claim(CPU, identity(), {"runs": "/b", "run": "r1"}, tmp_path)
    release(CPU, {"runs": "/b", "run": "r1"}, tmp_path)
    assert occupant(CPU, tmp_path) is not None, "not his to give back"
    process.kill()
    process.communicate()
    assert occupant(CPU, tmp_path) is None
    assert claim(CPU, identity(), {"runs": "/b", "run": "r1"}, tmp_path)
    release(CPU, {"runs": "/b", "run": "r1"}, tmp_path)
    assert occupant(CPU, tmp_path) is None


def test_several_devices_are_claimed_together_or_not_at_all(tmp_path: Path) -> None:
    mine, other = {"runs": "/a", "run": "r1"}, {"runs": "/a", "run": "r2"}
    assert claim(GPUS[1], identity(), other, tmp_path)
    assert not claim_all(GPUS[:2], identity(), mine, tmp_path)
    assert occupant(GPUS[0], tmp_path) is None, "what was claimed before the other was found taken is given back"
    release_all(GPUS[:2], mine, tmp_path)
    assert occupant(GPUS[1], tmp_path) is not None, "not his to give back"
    release_all(GPUS[:2], other, tmp_path)
    assert claim_all(GPUS[:2], identity(), mine, tmp_path)
    found = [occupant(device, tmp_path) for device in GPUS[:2]]
    assert [row and row["run"] for row in found] == ["r1", "r1"]


def test_a_trainer_without_a_claim_is_seen_by_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with device_lock("GPU-aa"):
        there = occupant(GPUS[0], tmp_path)
        assert there is not None and there["process"]["pid"] == identity()["pid"]
        assert not claim(GPUS[0], identity(), {"runs": "/a", "run": "r"}, tmp_path)
        assert claim(GPUS[1], identity(), {"runs": "/a", "run": "r"}, tmp_path)


def supply(folder: Path, name: str, **values: str) -> None:
    (folder / name).mkdir()
    for key, value in values.items():
        (folder / name / key).write_text(value + "\n")


def test_batteries(tmp_path: Path) -> None:
    assert not on_battery(tmp_path / "none")
    assert not on_battery(tmp_path)
    supply(tmp_path, "mouse", type="Battery", scope="Device", status="Discharging")
    supply(tmp_path, "BAT0", type="Battery", status="Full")
    assert not on_battery(tmp_path)
    (tmp_path / "BAT0" / "status").write_text("Discharging\n")
    assert on_battery(tmp_path)
    supply(tmp_path, "AC", type="Mains", online="1")
    assert not on_battery(tmp_path)
    (tmp_path / "AC" / "online").write_text("0\n")
    assert on_battery(tmp_path)
