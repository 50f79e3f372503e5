"""`hrm device` with a made-up driver: its words, its JSON, and that it loads no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hrm_core.cli import device_command
from hrm_core.cli.device_command import lines_of
from hrm_core.cli.main import cli
from hrm_core.runs.device import Battery, Disk, Gpu, Holder, Host, Reading

GIB = 2**30
HOST = Host(8, 0.25, 1.5, 4 * GIB, 16 * GIB, GIB, 2 * GIB, (Disk("runs", "/r", 10 * GIB, 100 * GIB),), None)
BUSY = Gpu(
    0, "RTX A3000", "GPU-1", 3 * GIB, 6 * GIB, 0.97, 79.6, 80.0, 81.0, 1335.0, 2100.0,
    ("power cap", "heat (driver)"), (Holder(17, "python", 2 * GIB, "base-s1"), Holder(5, "Xorg", None)),
)  # fmt: skip
SILENT = Gpu(1, "MX", "", None, None, None, None, None, None, None, None, None, None)
IDLE = Gpu(2, "A3000", "", GIB, 6 * GIB, 0.0, 10.0, None, 40.0, 300.0, None, (), ())


def test_words_of_a_busy_a_silent_and_an_idle_gpu() -> None:
    assert list(lines_of(Reading((BUSY,), "", HOST), "")) == [
        "GPU 0: RTX A3000 GPU-1",
        "  memory       3.0 of 6.0 GiB",
        "  busy         97 %",
        "  power        80 W (cap 80 W)",
        "  temperature  81 °C",
        "  clock        1335 MHz (most 2100 MHz)",
        "  slowed by    power cap, heat (driver)",
        "  held by      17 python, 2.0 GiB, run base-s1",
        "  held by      5 Xorg",
        "host: 8 cores",
        "  busy         25 %, load 1.5",
        "  memory       4.0 of 16.0 GiB",
        "  swap         1.0 of 2.0 GiB",
        "  disk, runs   10.0 of 100.0 GiB free at /r",
        "  queue        nothing here holds it",
    ]
    silent = "\n".join(lines_of(Reading((SILENT,), "", HOST), ""))
    assert silent.count("not told") == 7
    idle = "\n".join(lines_of(Reading((IDLE,), "", HOST), ""))
    assert "held by      nobody" in idle and "slowed by    nothing" in idle and "power        10 W\n" in idle


def test_no_gpu_a_battery_and_a_held_queue() -> None:
    host = Host(2, None, None, None, None, None, None, (), Battery(True, 0.4))
    said = list(lines_of(Reading((), "no NVIDIA driver answers", host), "the machine is on battery (40 % left)"))
    assert said == [
        "no GPU: no NVIDIA driver answers",
        "host: 2 cores",
        "  busy         not told",
        "  memory       not told",
        "  battery      in use, 40 % full",
        "  queue        would start nothing: the machine is on battery (40 % left)",
    ]


def test_the_command_says_it_and_gives_it_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_command, "FIRST_S", 0.0)
    said = CliRunner().invoke(cli, ["device", "--runs", str(tmp_path)])
    assert said.exit_code == 0 and f"free at {tmp_path}" in said.output and "host:" in said.output
    found = json.loads(CliRunner().invoke(cli, ["device", "--json", "--runs", str(tmp_path)]).stdout)
    assert found["host"]["disks"][0]["folder"] == str(tmp_path) and "queue_held" in found


def test_watching_goes_on_until_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(device_command.time, "sleep", nap)
    said = CliRunner().invoke(cli, ["device", "--watch", "--runs", str(tmp_path)])
    assert said.exit_code == 130 and said.output.count("host:") == 2


def test_it_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom hrm_core.cli.main import cli\n"
        f"assert CliRunner().invoke(cli, ['device', '--runs', {str(tmp_path)!r}]).exit_code == 0\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=250)
    assert done.stdout.strip() == "False False"
