"""Another project's package of the name triton_kernels, found first on the path: named in two lines, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_a_stranger_named_triton_kernels_is_named(tmp_path: Path) -> None:
    (tmp_path / "triton_kernels").mkdir()
    (tmp_path / "triton_kernels" / "__init__.py").write_text('"""Somebody else\'s."""\n', encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "hrm_core.cli.main", "bench", "step", "--shape", "demo", "--data", __file__],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "another package named triton_kernels" in done.stderr
    assert str(tmp_path) in done.stderr.replace("\n       ", "")
    assert "Traceback" not in done.stderr
