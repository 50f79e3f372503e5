"""Every kernel against its reference in Triton's interpreter: `tests/interpreted/case_*.py`, a process each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = sorted(path.name for path in (ROOT / "tests/interpreted").glob("case_*.py"))


def run_cases(name: str, which: str) -> None:
    """Runs the cases of one file that carry, or do not carry, the `slow` marker; prints theirs when they fail."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command += ["-o", "python_files=case_*.py", "-m", which, "--timeout", "900", f"tests/interpreted/{name}"]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    no_cases = 5
    assert done.returncode in (0, no_cases), done.stdout[-6000:] + done.stderr[-2000:]
    if which == "not slow":
        assert " passed" in done.stdout, f"{name} has no quick case"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CASES)
def test_kernel_equals_its_reference(name: str) -> None:
    run_cases(name, "not slow")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_kernel_equals_its_reference_at_more_shapes(name: str) -> None:
    run_cases(name, "slow")
