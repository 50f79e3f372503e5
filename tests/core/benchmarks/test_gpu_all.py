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

import pytest
from waiting import wait_for

from hrm_core.benchmarks import gpu_children
from hrm_core.benchmarks.gpu_page import summary
from hrm_core.benchmarks.gpu_plan import (
    KERNEL_TESTS,
    LIMIT_S,
    SECONDS_VARIABLE,
    STEP_TESTS,
    TOGETHER_S,
    Result,
    Stage,
    chosen,
    longest,
    plan,
    run_stages,
    run_together,
)
from hrm_core.benchmarks.gpu_summary import (
    GOALS,
    attention_ratio,
    beaten,
    mark_verified,
    read_findings,
    verifiable,
)
from hrm_core.benchmarks.profiling import TOP
from hrm_core.benchmarks.steps import SHAPES, VARIANTS, shape_recipe
from hrm_core.errors import UserError
from triton_kernels import launch
from triton_kernels.launch import table


def stage(name: str, code: str, budget_s: float = 30.0, needs: str | None = None, alone: bool = True) -> Stage:
    return Stage(name, f"the {name} stage", (sys.executable, "-c", code), budget_s, needs, alone)


def quiet(text: str) -> None:
    pass


def test_every_stage_has_its_own_name_and_something_to_run(tmp_path: Path) -> None:
    stages = plan(tmp_path)
    assert len({one.name for one in stages}) == len(stages)
    children = {one.command[-2] for one in stages if "hrm_core.benchmarks.gpu_children" in one.command}
    assert children == set(gpu_children.CHILDREN)
    # Speeds on a quiet GPU, after what may run together.
    assert [one.name for one in stages if one.alone] == ["device", "memory", "profile", "steps", "kernels"]
    assert [one.alone for one in stages] == sorted(one.alone for one in stages)
    assert longest(stages) == TOGETHER_S + sum(one.budget_s for one in stages if one.alone)
    # What is measured first must fit even where all the checks take all of their time.
    assert longest([one for one in stages if one.name not in ("steps", "kernels")]) <= LIMIT_S


def test_some_stages_by_name(tmp_path: Path) -> None:
    stages = plan(tmp_path)
    assert [one.name for one in chosen(stages, ["profile", "training"])] == ["training", "profile"]
    assert chosen(stages, []) == stages
    with pytest.raises(UserError, match="--only speed: there is no such stage; there are correctness, tests"):
        chosen(stages, ["speed"])


def test_a_stage_that_fails_or_hangs_does_not_stop_the_others(tmp_path: Path) -> None:
    stages = [
        stage("fails", "print('one'); print('it broke'); raise SystemExit(3)"),
        stage("hangs", "import time; print('so far', flush=True); time.sleep(60)", 5.0),
        stage("absent", "", needs="a-program-that-is-not-there"),
        stage("works", "print('fine')"),
    ]
    begin = time.monotonic()
    results = run_together(stages, tmp_path, 30.0, quiet)
    assert time.monotonic() - begin < 55  # the one that hangs sleeps for sixty
    assert [(result.status, result.words) for result in results] == [
        ("failed", "it broke"),
        ("out of time", "after: so far"),
        ("not here", "a-program-that-is-not-there is not on PATH"),
        ("passed", "fine"),
    ]
    assert [result.fine for result in results] == [False, False, True, True]
    assert Result(replace(stages[0], counts=False), "failed", 1.0, "").fine
    assert (tmp_path / "fails.log").read_text() == "one\nit broke\n"


def test_checks_run_together_and_speeds_alone(tmp_path: Path) -> None:
    note = f"""
import pathlib, sys, time
folder = pathlib.Path({str(tmp_path)!r})
name = sys.argv[1]
(folder / (name + ".on")).touch()
"""
    meet = note + "end = time.monotonic() + 60\nother = folder / (sys.argv[2] + '.on')\n"
    meet += "while not other.exists():\n    assert time.monotonic() < end\n    time.sleep(0.01)\n"
    meet += "time.sleep(0.1)\n(folder / (name + '.done')).touch()\nprint('met')"
    look = note + "print(sorted(path.stem for path in folder.glob('*.done')))"
    stages = [
        replace(stage("speed", ""), command=(sys.executable, "-c", look, "speed")),
        replace(stage("left", "", alone=False), command=(sys.executable, "-c", meet, "left", "right")),
        replace(stage("right", "", alone=False), command=(sys.executable, "-c", meet, "right", "left")),
    ]
    results = {result.stage.name: result.words for result in run_stages(stages, tmp_path, quiet)}
    assert results == {"left": "met", "right": "met", "speed": "['left', 'right']"}


def test_a_stage_is_told_how_much_time_it_has(tmp_path: Path) -> None:
    told = stage("told", f"import os; print(os.environ[{SECONDS_VARIABLE!r}], 'TRITON_INTERPRET' in os.environ)", 12.0)
    (result,) = run_together([told], tmp_path, 30.0, quiet)
    assert result.words == "12.0 False"


def test_what_a_hanging_stage_has_started_ends_with_it(tmp_path: Path) -> None:
    code = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    (result,) = run_together([stage("parent", code, 5.0)], tmp_path, 5.0, quiet)
    assert result.status == "out of time"
    pid = int((tmp_path / "parent.log").read_text())
    wait_for(lambda: not running(pid))


def test_an_interrupt_ends_what_runs(tmp_path: Path) -> None:
    def interrupts(text: str) -> None:
        raise KeyboardInterrupt

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    short = (
        f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'long.log')!r}).read_text(): time.sleep(0.01)"
    )
    with pytest.raises(KeyboardInterrupt):
        run_together([stage("long", code), stage("short", short)], tmp_path, 30.0, interrupts)
    assert not running(int((tmp_path / "long.log").read_text()))


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
    lone = replace(here["sanitized"], needs=None, command=here["sanitized"].command[5:])
    (result,) = run_together([lone], tmp_path, 60.0, quiet)
    assert result.status == "failed"
    assert "no CUDA device can be reached" in result.words


def kernel_row(
    op: str, peer: str, median: float, shape: str = "attention alone, 64 x 901 tokens", direction: str = "forward"
) -> dict[str, Any]:
    place = {"op": op, "shape": shape, "direction": direction, "peer": peer}
    return {**place, "timing": {"median_ms": median}, "roofline_share": 0.5, "problem": None}


def step_row(shape: str, variant: str, speed: float) -> dict[str, Any]:
    spread = {"low": speed - 100, "high": speed + 100, "peak_memory_gib": 2.25}
    return {"shape": shape, "variant": variant, "problem": None, "segments_per_s": speed, **spread}


DRIVER = {"name": "H", "driver_version": "580.1", "power.limit [W]": "700.00 W", "temperature.gpu": "35"}
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
        "device": {"machine": machine, "driver": DRIVER, "peaks": {"flops": 8e14, "bytes": 3e12, "dtype": "bfloat16"}},
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
                {
                    **kernel_row("recurrent_attention", "efficient", 0.0),
                    "timing": None,
                    "problem": "No available kernel.",
                },
            ],
            "used": [[OP, KERNEL, 90, ROW.shape], ["recurrent_attention", "none", 90, {}]],
        },
        "steps": [
            step_row(shape, variant.name, 3000.0 / (number + 1))
            for shape in SHAPES
            for number, variant in enumerate(VARIANTS)
            if (shape, number) != ("hrm256-916-noboot-b64", 1)
        ]
        + [{"shape": "hrm256-916-noboot-b64", "variant": VARIANTS[1].name, "problem": "it does not run"}],
        "profile": [
            {
                "shape": "exp00-arc1-s384",
                "step_ms": 62.0,
                "busy_ms": 60.0,
                "calls": 1400.0,
                "graphs": 7,
                "kernels": [
                    {"kernel": "attention_forward_kernel", "ms": 30.0, "calls": 100.0, "share": 0.5},
                    *[{"kernel": f"k{n}", "ms": 2.5, "calls": 10.0, "share": 0.04} for n in range(TOP - 1)],
                    *[{"kernel": f"rest{n}", "ms": 1.25, "calls": 10.0, "share": 0.02} for n in range(2)],
                ],
            }
        ],
        "memory": [{"recipe": "916 tokens, batch 256", "measured_gib": 9.5}],
    }


PASSED = [Result(stage("works", ""), "passed", 1.0, "fine"), Result(stage("absent", ""), "not here", 0.0, "")]
ALL_PASSED = [Result(one, "passed", 1.0, "") for one in plan(Path("out"))]


def test_the_summary_has_every_stage_and_every_target_with_its_measured_value() -> None:
    text = summary([*PASSED, Result(stage("fails", ""), "failed", 2.5, "it | broke")], findings(), "none")
    for words in (
        "# Measured on H",
        "sm_90; torch 2, triton 3; 2026-01-01; commit abc.",
        "Driver: driver_version 580.1; power.limit [W] 700.00 W.",
        "| the works stage | passed | 1.0 | fine |",
        "| the fails stage | failed | 2.5 | it / broke |",
        "| step, `hrm256-916-noboot-b64` | 3,000 segments/s | 2,300 | 250 |",
        "| step against eager, `hrm256-916-noboot-b64` | 3.00 x | 3.0 | 2.5 |",
        "| step against compile, `hrm256-916-noboot-b64` | 4.00 x | 1.5 | 1.3 |",
        "| attention forward against the best SDPA, 901 tokens | 1.20 x | 1.15 | 1.15 |",
        "| peak memory, 916 tokens, batch 256 | 9.50 GiB | under 10 | under 10 |",
        "| peak memory, EXP-00, 64 x 5 | not measured |",
        "Measured peaks: 800 TFLOP/s (bfloat16), 3000 GB/s.",
        "| exp00-arc1-s384 | kernels, captured | 3,000 | 2,900 to 3,100 | 2.25 |",
        "| hrm256-916-noboot-b64 | references, captured | it does not run |  |  |",
        "`exp00-arc1-s384`, kernels, captured: 62.00 ms a step, of which kernels run 60.00 ms; 1400 kernels in 7 ",
        "| `attention_forward_kernel` | 30.00 | 100 | 50.0 % |",
        "| 2 others | 2.50 | 20 | 4.0 % |",
        f"| {OP} | attention alone, 64 x 901 tokens | forward | 1 | 50 % | reference 2.00 |  |",
        "| sdpa flash 1.50, sdpa cudnn 1.20, compile 0.90 | efficient: No available kernel. |",
    ):
        assert words in text, words


def test_a_summary_of_nothing_says_that_nothing_was_measured(tmp_path: Path) -> None:
    assert read_findings(tmp_path, PASSED) == {}
    assert summary(PASSED, {}, "none").count("not measured") == len(GOALS)
    (tmp_path / "works.json").write_text('{"half')
    assert read_findings(tmp_path, PASSED) == {}


def test_a_kernel_has_to_beat_the_reference_everywhere() -> None:
    found = findings()
    assert beaten(found) == {OP: True, "recurrent_attention": False}  # its reference was not timed
    assert attention_ratio(found) == 1.2
    # A compiled peer that is faster decides nothing: it would not run in the kernel's place.
    found["kernels"]["rows"].append(kernel_row(OP, "compile", 0.5))
    assert beaten(found)[OP] is True
    found["kernels"]["rows"][-1] = kernel_row(OP, "kernel", 3.0, "T 101")
    assert beaten(found)[OP] is False


def test_rows_are_verified_only_by_a_green_run_on_a_clean_checkout(tmp_path: Path) -> None:
    found = findings()
    why = "nothing is verified: the captured step was not faster with kernels than with references"
    assert verifiable(found, ALL_PASSED) == ([], why)
    found["steps"] = [step_row(shape, one.name, 3000.0 / (n + 1)) for shape in SHAPES for n, one in enumerate(VARIANTS)]
    # The used row of recurrent_attention is not verifiable: its reference was not timed.
    rows, why = verifiable(found, ALL_PASSED)
    stamp = {"commit": "abc", "date": "2026-01-01"}
    assert rows == [(OP, KERNEL, ROW._replace(verified=stamp))]
    assert why == "not faster than the reference everywhere: recurrent_attention"
    failed = [replace(result, status="failed") if result.stage.name == "tests" else result for result in ALL_PASSED]
    assert verifiable(found, failed) == ([], "nothing is verified: tests did not pass")
    assert verifiable(found, ALL_PASSED[1:]) == ([], "nothing is verified: correctness did not run")
    ahead = [replace(result, status="failed") if not result.stage.counts else result for result in ALL_PASSED]
    assert verifiable(found, ahead)[0] == rows
    found["kernels"]["machine"]["commit"] = "abc+"
    assert verifiable(found, ALL_PASSED)[0] == []
    found["kernels"]["machine"].update(commit="abc", arch=89)
    assert verifiable(found, ALL_PASSED)[0] == []

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
