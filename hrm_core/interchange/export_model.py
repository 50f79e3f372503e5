"""`hrm export`: a snapshot's model as a file for another runtime, whole and checked, or not at all.

Interchange room: Snapshot -> safetensors (weights alone), torch.export program, ONNX, or AOTInductor package. The file
is written beside its place, opened again by its own runtime, compared with the model's own code on random tokens, and
only then renamed. What is computed is in `exported.py`, how a file is opened in `run_exported.py`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor

from hrm_core.errors import UserError
from hrm_core.interchange.exported import ExportedModel, original_answer
from hrm_core.interchange.run_exported import HALTING, IDENTITY, LOGITS, TOKENS, Facts, Format, Run, open_exported
from hrm_core.interchange.weights_file import write_weights
from hrm_core.model.embeddings import VOCABULARY
from hrm_core.model.hrm import HRM
from hrm_core.runs.atomic import (
    ABANDONED_S,
    check_free_space,
    clean_leftovers,
    explain_os_error,
    naming,
    sibling,
    sync_folder,
)
from hrm_core.runs.text import clean
from hrm_core.training.checkpoint import SPARE_BYTES, Snapshot
from hrm_core.training.tensor_files import size_of

TOLERANCE: Final = 1e-4  # relative Frobenius error, fp32
CHECKED: Final = 3  # batches of random tokens
SUFFIX: Final[dict[Format, str]] = {
    "safetensors": ".safetensors",
    "torch-export": ".pt2",
    "onnx": ".onnx",
    "aoti": ".pt2",
}
ON_A_GPU: Final = ("torch-export", "aoti")
ONNX_PACKAGES: Final = ("onnx", "onnxscript", "onnxruntime")


@final
@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from the model: relative Frobenius errors of both outputs."""

    path: Path
    facts: Facts
    bytes: int
    sha256: str
    logits_error: float
    halting_error: float
    seconds: float

    @property
    def error(self) -> float:
        """The larger of the two."""
        return max(self.logits_error, self.halting_error)


def facts_of(
    snapshot: Snapshot, to: Format, side: int | None, segments: int | None, batch: int, halting: bool
) -> Facts:
    """What is to be exported, with the recipe's largest canvas and number of segments where nothing was said."""
    recipe, model = snapshot.recipe, snapshot.model
    rows = max(1, model.rows.table.shape[0] - 1)
    chosen = (side or max(recipe.data.canvases), segments or recipe.halting.max_segments)
    name = snapshot.run_id or snapshot.path.name
    return Facts(to, *chosen, halting, batch, rows, name, snapshot.step, snapshot.weights, model.device.type)


def place_of(out: Path, facts: Facts) -> Path:
    """The file: `out`, or a name of its own in a folder. UserError (2): taken, or not of the format's ending."""
    suffix = SUFFIX[facts.to]
    if out.is_dir():
        kind = {"aoti": "-aoti", "torch-export": "-export"}.get(facts.to, "")
        halts = "-halting" if facts.halting else ""
        # A run's name comes from the snapshot, which may come from anywhere: only what a file name can hold.
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", facts.run_id).lstrip(".-")[:100] or "model"
        out = out / f"{name}-{facts.step}-side{facts.side}{halts}{kind}{suffix}"
    if out.suffix != suffix:
        raise UserError(f"--out {clean(out)}: the name of a file for --to {facts.to} ends in {suffix}")
    if os.path.lexists(out):
        raise UserError(f"--out {clean(out)} is already there; give another name, or remove it first")
    return out


def check_possible(to: Format, device: str) -> None:
    """UserError (1) in a line where a package, a compiler or a device is missing."""
    missing = [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None] if to == "onnx" else []
    if missing:
        raise UserError(f"--to onnx needs {', '.join(missing)}: pip install {' '.join(missing)}", 1)
    compiler = os.environ.get("CXX", "g++")
    if to == "aoti" and shutil.which(compiler) is None:
        raise UserError(f"--to aoti needs a C++ compiler, and {clean(compiler)} is not on PATH: apt install g++", 1)
    if device == "cuda" and to not in ON_A_GPU:
        raise UserError(f"--device cuda belongs to --to {' and '.join(ON_A_GPU)}; a file for --to {to} has no device")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device can be reached here (see `hrm doctor`); leave it out", 1)


def export_model(snapshot: Snapshot, facts: Facts, out: Path) -> Exported:
    """Writes, opens, compares, and puts the file at its place. UserError (1) where a step fails; nothing stays then."""
    started = time.monotonic()
    check_possible(facts.to, facts.device)
    final_path = place_of(out, facts)
    try:
        final_path.parent.mkdir(parents=True, exist_ok=True)
        clean_leftovers(final_path.parent, ABANDONED_S)
        # An exporter's own words for a full disk do not name it; some write their parts before they join them.
        check_free_space(final_path.parent, 2 * size_of(snapshot.model.state_dict()) + SPARE_BYTES)
        folder = sibling(final_path, "tmp")
        folder.mkdir()
        try:
            path = folder / f"model{SUFFIX[facts.to]}"
            with naming(final_path), explained(facts.to):
                WRITERS[facts.to](path, snapshot, facts)
                run = open_exported(path, facts.to, facts.device)
                errors = compare(run, snapshot.model, facts)
            if not max(errors) <= TOLERANCE:
                raise UserError(
                    f"--to {facts.to}: the exported file says something else than the model: relative error "
                    f"{max(errors):.2e}, {TOLERANCE:.0e} allowed.\nIt was removed; "
                    "try --to torch-export, or other versions of the packages",
                    1,
                )
            size, digest = path.stat().st_size, _sha256(path)
            os.replace(path, final_path)
            sync_folder(final_path.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise explain_os_error(error) from error
    return Exported(final_path, facts, size, digest, *errors, time.monotonic() - started)


def random_calls(facts: Facts, count: int) -> list[tuple[Tensor, Tensor]]:
    """Batches of random tokens and rows, the same every time."""
    generator = torch.Generator().manual_seed(0)
    shape = (facts.batch, facts.side**2)
    return [
        (
            torch.randint(0, VOCABULARY, shape, generator=generator, dtype=torch.int32),
            torch.randint(0, facts.identity_rows, (facts.batch,), generator=generator),
        )
        for _ in range(count)
    ]


def compare(run: Run, model: HRM, facts: Facts) -> tuple[float, float]:
    """Relative Frobenius errors of token logits and halting logits against the model's own code."""
    pairs: list[list[tuple[Tensor, Tensor]]] = [[], []]
    for tokens, row in random_calls(facts, CHECKED):
        here = (tokens.to(model.device), row.to(model.device))
        wanted = original_answer(model, *here, facts.side, facts.segments, facts.halting)
        for kept, said, want in zip(pairs, run(tokens.numpy(), row.numpy()), wanted, strict=True):
            kept.append((torch.from_numpy(said), want.cpu()))
    first, second = (_relative(kept) for kept in pairs)
    return first, second


def _relative(pairs: list[tuple[Tensor, Tensor]]) -> float:
    if any(said.shape != want.shape or said.dtype != torch.float32 for said, want in pairs):
        return float("inf")
    difference = sum(float((said.double() - want.double()).square().sum()) for said, want in pairs)
    size = sum(float(want.double().square().sum()) for _, want in pairs)
    found = (difference / size if size else difference) ** 0.5
    return found if found == found else float("inf")


def _program(snapshot: Snapshot, facts: Facts) -> torch.export.ExportedProgram:
    plain = ExportedModel(snapshot.model, facts.side, facts.segments, facts.halting).eval()
    ((tokens, row),) = random_calls(facts, 1)
    with torch.no_grad():
        return torch.export.export(plain, (tokens.to(facts.device), row.to(facts.device)))


def _write_program(path: Path, snapshot: Snapshot, facts: Facts) -> None:
    torch.export.save(_program(snapshot, facts), path, extra_files={"hrm": facts.to_json()})


def _write_onnx(path: Path, snapshot: Snapshot, facts: Facts) -> None:
    names: dict[str, Any] = {"input_names": [TOKENS, IDENTITY], "output_names": [LOGITS, HALTING]}
    program = torch.onnx.export(_program(snapshot, facts), dynamo=True, verbose=False, **names)
    assert program is not None
    program.model.metadata_props["hrm"] = facts.to_json()
    program.save(os.fspath(path), external_data=False)  # one file, or an error where it is larger than 2 GiB


def _write_aoti(path: Path, snapshot: Snapshot, facts: Facts) -> None:
    from torch._inductor import aoti_compile_and_package

    settings = {"aot_inductor.metadata": {"hrm": facts.to_json()}}
    aoti_compile_and_package(_program(snapshot, facts), package_path=os.fspath(path), inductor_configs=settings)


WRITERS: Final[dict[Format, Callable[[Path, Snapshot, Facts], None]]] = {
    "safetensors": write_weights,
    "torch-export": _write_program,
    "onnx": _write_onnx,
    "aoti": _write_aoti,
}


@contextmanager
def explained(to: Format) -> Iterator[None]:
    """Inside, the exporters are quiet, and what they cannot do becomes a UserError (1) of two lines."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:  # each exporter has its own classes, most of them private
        said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        other = "onnx" if to == "torch-export" else "torch-export"
        raise UserError(
            f"--to {to} failed with torch {torch.__version__}: {clean(said.strip())[:200]}\n"
            f"Where it names an operation, this version cannot export it: try --to {other}, or another version of torch"
            + (" and onnxscript" if to == "onnx" else ""),
            1,
        ) from error
    finally:
        logger.setLevel(before)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
