"""`hrm bench deploy`: each runtime in a child process, its problem where it has one, and a page. No time is judged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from small_step import NUM_TASKS, make_parts, recipe

from hrm_core.benchmarks import deploy as module
from hrm_core.benchmarks import deploy_child
from hrm_core.benchmarks.deploy import Cost, Deployed
from hrm_core.benchmarks.deploy_page import cells, page
from hrm_core.benchmarks.machine import Machine
from hrm_core.cli import bench_deploy_command
from hrm_core.errors import UserError
from hrm_core.training.checkpoint import save_snapshot

MACHINE = Machine("CPU (some)", "cpu", None, 2, {"python": "3", "torch": "2", "triton": "3"}, "abc", "2026-11-27")
ASKED = {"device": "cpu", "threads": 1, "weights": "raw", "calls": 2, "side": 5, "segments": 2, "halting": False}


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    names = tuple(f"task-{number}" for number in range(NUM_TASKS))
    save_snapshot(tmp_path / "small", make_parts(recipe()), names, {"kind": "checkpoint", "step": 3, "run_id": "small"})
    return tmp_path / "small"


def test_the_command_times_children_and_keeps_a_page(
    snapshot: Path, own_checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runtimes cannot be made here: that is said in their lines, and the third is timed all the same."""

    def refuse(made: Any, facts: Any, folder: Any) -> None:
        raise UserError(f"--to {facts.to} needs something: pip install it\nand more", 1)

    monkeypatch.setattr(module, "export_model", refuse)
    words = [str(snapshot), "--device", "cpu", "--segments", "2", "--report", "--json", "--runs", str(tmp_path)]
    said = CliRunner().invoke(bench_deploy_command.deploy, words, catch_exceptions=False)
    found = json.loads(said.stdout)
    eager, *others = found["costs"]
    assert eager["runtime"] == "eager" and eager["problem"] is None
    assert 0 < eager["median_s"] <= eager["p90_s"]
    assert eager["peak_bytes"] > 50 * 2**20 and eager["file_bytes"] > 1000
    assert [one["runtime"] for one in others] == ["torch-export", "onnx", "aoti"]
    assert others[1]["problem"] == "--to onnx needs something: pip install it"
    (written,) = (own_checkout / "docs/benchmarks").glob("deploy-*.md")
    text = written.read_text(encoding="utf-8")
    assert "| PyTorch, eager |" in text and "pip install it" in text and "side 5, 2 segments" in text


def test_a_child_that_dies_is_a_line(snapshot: Path) -> None:
    cost = module._timed("eager", {**ASKED, "batch": 1, "to": "eager", "path": str(snapshot / "nowhere")}, 7)
    assert cost.median_s is None and cost.problem is not None and "nowhere" in cost.problem


def test_warm_up_calls_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def opened(asked: dict[str, Any]) -> Any:
        return lambda tokens, row: calls.append((tokens.shape, tokens.dtype, row.tolist()))

    monkeypatch.setattr(deploy_child, "open_eager", opened)
    found = deploy_child.measure({**ASKED, "batch": 3, "to": "eager", "path": ""})
    assert len(found["seconds"]) == 2
    assert calls == [((3, 25), np.dtype(np.int32), [0, 0, 0])] * (2 + deploy_child.WARM_UP)


def test_the_child_needs_no_torch_for_onnx() -> None:
    import subprocess

    code = (
        "import sys; import hrm_core.benchmarks.deploy_child, hrm_core.interchange.run_exported;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_page_grows_by_a_section() -> None:
    shape = {"hidden": 8, "layers": [1, 2], "cycles": [2, 2], "parameters": 2_500_000, "side": 5, "segments": 3}
    shape |= {"halting": True, "batch": 1, "identity_rows": 5}
    costs = (Cost("eager", None, 0.002, 0.003, 1.0, None, None, 2**20, 2**28), Cost("aoti", "no compiler"))
    found = Deployed(MACHINE, {"onnx": "1"}, shape, 30, costs)
    once = page(None, found)
    twice = page(once, found)
    assert once.count("\n## ") == 1 and twice.count("\n## ") == 2 and twice.count("\n# ") == once.count("\n# ")
    assert "| PyTorch, eager | 2.0 ms | 3.0 ms | 1.0 s | - | - | 1.0 MiB | 256.0 MiB |" in once
    assert "halting within 3 segments" in once and "2.50 million" in once and cells(costs[1])[1] == "no compiler"
