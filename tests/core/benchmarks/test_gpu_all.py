"""`hrm bench gpu-all` without a GPU: stages as processes, findings and targets, and which rows a run would verify."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from hrm_core.benchmarks import gpu_children
from hrm_core.benchmarks.gpu_plan import KERNEL_TESTS, LIMIT_S, STEP_TESTS, Result, Stage, plan, run_stage, run_stages
from hrm_core.benchmarks.gpu_summary import (
    GOALS,
    attention_ratio,
    beaten,
    mark_verified,
    read_findings,
    summary,
    verifiable,
)
from hrm_core.benchmarks.steps import SHAPES, VARIANTS, shape_recipe
from triton_kernels import launch
from triton_kernels.launch import table


def stage(name: str, code: str, budget_s: float = 30.0, needs: str | None = None) -> Stage:
    return Stage(name, f"the {name} stage", (sys.executable, "-c", code), budget_s, needs)


def test_the_plan_ends_in_time_and_every_stage_has_its_own_name(tmp_path: Path) -> None:
    stages = plan(tmp_path)
    assert sum(one.budget_s for one in stages) <= LIMIT_S
    assert len({one.name for one in stages}) == len(stages)
    children = {one.command[-2] for one in stages if "hrm_core.benchmarks.gpu_children" in one.command}
    assert children == set(gpu_children.CHILDREN)


def test_a_stage_that_fails_or_hangs_does_not_stop_the_others(tmp_path: Path) -> None:
    stages = [
        stage("fails", "print('one'); print('it broke'); raise SystemExit(3)"),
        stage("hangs", "import time; print('so far', flush=True); time.sleep(60)", 1.0),
        stage("absent", "", needs="a-program-that-is-not-there"),
        stage("works", "print('fine')"),
    ]
    begin = time.monotonic()
    limits = [run_stage(one, tmp_path, max(one.budget_s, 1.0)) for one in stages]
    assert time.monotonic() - begin < 30
    assert [(result.status, result.words) for result in limits] == [
        ("failed", "it broke"),
        ("out of time", "after: so far"),
        ("not here", "a-program-that-is-not-there is not on PATH"),
        ("passed", "fine"),
    ]
    assert (tmp_path / "fails.log").read_text() == "one\nit broke\n"


def test_what_a_hanging_stage_has_started_ends_with_it(tmp_path: Path) -> None:
    code = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    result = run_stage(stage("parent", code), tmp_path, 2.0)
    assert result.status == "out of time"
    pid = int((tmp_path / "parent.log").read_text())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and running(pid):
        time.sleep(0.05)
    assert not running(pid)


def running(pid: int) -> bool:
    """Alive, and not a zombie that nobody has waited for."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def test_the_whole_has_a_limit(tmp_path: Path) -> None:
    said: list[str] = []
    results = run_stages([stage("first", "print('done')")], tmp_path, said.append, 0.0)
    assert [(result.status, result.words) for result in results] == [
        ("out of time", "the stages before it have used up the time")
    ]
    assert said[0] == "1 of 1: the first stage (at most 0 s)"


def test_a_child_without_a_gpu_fails_in_one_line(tmp_path: Path) -> None:
    here = {one.name: one for one in plan(tmp_path)}
    result = run_stage(replace(here["sanitized"], needs=None, command=here["sanitized"].command[5:]), tmp_path, 60.0)
    assert result.status == "failed"
    assert "no CUDA device can be reached" in result.words


def kernel_row(
    op: str, peer: str, median: float, shape: str = "attention alone, 64 x 901 tokens", direction: str = "forward"
) -> dict[str, Any]:
    return {"op": op, "shape": shape, "direction": direction, "peer": peer, "timing": {"median_ms": median}}


OP, KERNEL = "lay", next(iter(table("lay")))
ROW = next(row for row in table(OP)[KERNEL] if row.arch == 90)


def findings() -> dict[str, Any]:
    verdict = {"passed": True, "words": ""}
    machine = {
        "device": "H",
        "arch": 90,
        "commit": "abc",
        "date": "2026-01-01",
        "versions": {"torch": "2", "triton": "3"},
    }
    return {
        "device": {"machine": machine, "peaks": {"flops": 8e14, "bytes": 3e12, "dtype": "bfloat16"}},
        "kernels": {
            "machine": machine,
            "verdicts": {OP: verdict, "recurrent_attention": verdict},
            "rows": [
                kernel_row(OP, "kernel", 1.0),
                kernel_row(OP, "reference", 2.0),
                kernel_row("recurrent_attention", "kernel", 1.0),
                kernel_row("recurrent_attention", "sdpa flash", 1.5),
                kernel_row("recurrent_attention", "sdpa cudnn", 1.2),
                kernel_row("recurrent_attention", "compile", 0.9),
            ],
            "used": [[OP, KERNEL, 90, ROW.shape], ["recurrent_attention", "none", 90, {}]],
        },
        "steps": [
            {"shape": shape, "variant": variant.name, "segments_per_s": 3000.0 / (number + 1)}
            for shape in SHAPES
            for number, variant in enumerate(VARIANTS)
        ],
        "memory": [{"recipe": "916 tokens, batch 256", "measured_gib": 9.5}],
    }


PASSED = [Result(stage("works", ""), "passed", 1.0, "fine"), Result(stage("absent", ""), "not here", 0.0, "")]


def test_the_summary_has_every_stage_and_every_target_with_its_measured_value() -> None:
    text = summary([*PASSED, Result(stage("fails", ""), "failed", 2.5, "it | broke")], findings(), "none")
    for words in (
        "| the works stage | passed | 1.0 | fine |",
        "| the fails stage | failed | 2.5 | it / broke |",
        "| step, `hrm256-916-noboot-b64` | 3,000 segments/s | 2,300 | 250 |",
        "| step against eager, `hrm256-916-noboot-b64` | 3.00 x | 3.0 | 2.5 |",
        "| step against compile, `hrm256-916-noboot-b64` | 4.00 x | 1.5 | 1.3 |",
        "| attention forward against the best SDPA, 901 tokens | 1.20 x | 1.15 | 1.15 |",
        "| peak memory, 916 tokens, batch 256 | 9.50 GiB | under 10 | under 10 |",
        "| peak memory, EXP-00, 64 x 5 | not measured |",
        "Measured peaks: 800 TFLOP/s (bfloat16), 3000 GB/s.",
    ):
        assert words in text


def test_a_summary_of_nothing_says_that_nothing_was_measured(tmp_path: Path) -> None:
    assert read_findings(tmp_path, PASSED) == {}
    assert summary(PASSED, {}, "none").count("not measured") == len(GOALS)
    (tmp_path / "works.json").write_text('{"half')
    assert read_findings(tmp_path, PASSED) == {}


def test_the_best_peer_counts() -> None:
    found = findings()
    assert beaten(found) == {OP: True, "recurrent_attention": False}
    assert attention_ratio(found) == 1.2
    found["kernels"]["rows"].append(kernel_row(OP, "kernel", 3.0, "T 101"))
    assert beaten(found)[OP] is False


def test_rows_are_verified_only_by_a_green_run_on_a_clean_checkout(tmp_path: Path) -> None:
    found = findings()
    # The used row of recurrent_attention is not verifiable: a peer was faster.
    rows, why = verifiable(found, PASSED)
    stamp = {"commit": "abc", "date": "2026-01-01"}
    assert rows == [(OP, KERNEL, ROW._replace(verified=stamp))]
    assert why == "not faster than every peer everywhere: recurrent_attention"
    failed = [*PASSED, Result(stage("tests", ""), "failed", 1.0, "")]
    assert verifiable(found, failed) == ([], "nothing is verified: tests did not pass")
    found["kernels"]["machine"]["commit"] = "abc+"
    assert verifiable(found, PASSED)[0] == []
    found["kernels"]["machine"].update(commit="abc", arch=89)
    assert verifiable(found, PASSED)[0] == []

    folder = tmp_path / OP
    folder.mkdir()
    (folder / "launch.json").write_bytes((launch.ROOT / OP / "launch.json").read_bytes())
    mark_verified(rows, tmp_path)
    before = json.loads((launch.ROOT / OP / "launch.json").read_text())
    after = json.loads((folder / "launch.json").read_text())
    changed = [(old, new) for old, new in zip(before[KERNEL], after[KERNEL], strict=True) if old != new]
    assert [(old["arch"], new["verified"]) for old, new in changed] == [(90, stamp)]
    assert all({**new, "verified": None} == old for old, new in changed)


def test_the_shapes_with_targets_are_what_they_are_called() -> None:
    full = shape_recipe(SHAPES["hrm256-916-noboot-b64"])
    assert full.data.canvases == (30,)
    assert 30 * 30 + full.identity.prefix_tokens == 916
    assert (full.training.batch, full.training.accumulation) == (64, 1)
    assert (full.model.heads, full.model.hidden, full.model.gradient) == (4, 256, "one_step")
    assert full.halting.kind == "halt_only"
    mixed = shape_recipe(SHAPES["exp00-arc1-s384"], *VARIANTS[0].overrides)
    assert mixed.training.batch * mixed.training.accumulation == 384
    assert (mixed.kernels.mode, mixed.training.graph) == ("force", "force")


def test_every_gpu_test_is_in_a_stage_and_needs_no_plugin() -> None:
    root = Path(__file__).resolve().parents[3]
    marked = {
        str(path.relative_to(root))
        for path in (root / "tests").rglob("test_*.py")
        if path != Path(__file__) and "mark.gpu" in path.read_text(encoding="utf-8")
    }
    assert marked == {*KERNEL_TESTS, *STEP_TESTS}
    stages = {stage.name: stage.command for stage in plan(Path("out"))}
    without = [word for name in ("timeout", "asyncio", "randomly", "benchmark") for word in ("-p", f"no:{name}")]
    for name in ("tests", "graphs"):
        command = [*stages[name], *without, "--collect-only"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
