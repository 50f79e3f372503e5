"""Opens an exported model and runs it: how the check after an export, the benchmark and a program of yours call it.

Interchange room: a file and its format -> a function, tokens (B, T) int32 and identity rows (B,) int64 -> token logits
(B, T, V) and halting logits (B, 2) fp32, all NumPy. Each runtime is imported only where its format is opened: an ONNX
file is run without torch. A `.pt2` file can hold code: open only files that you made yourself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

Format = Literal["safetensors", "torch-export", "onnx", "aoti"]
Run = Callable[[NDArray[np.int32], NDArray[np.int64]], tuple[NDArray[np.float32], NDArray[np.float32]]]

TOKENS, IDENTITY, LOGITS, HALTING = "tokens", "identity", "logits", "halting_logits"


@final
@dataclass(frozen=True)
class Facts:
    """What an exported file is; it is written into the file under the name `hrm`, as JSON."""

    to: Format
    side: int
    segments: int
    halting: bool
    batch: int
    identity_rows: int
    run_id: str
    step: int
    weights: str
    device: str = "cpu"

    def to_json(self) -> str:
        """As it is written."""
        return json.dumps({"format": 1, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """ValueError, TypeError or KeyError where it is none."""
        values = json.loads(text)
        side, segments = values["side"], values["segments"]
        if values.pop("format") != 1 or not (isinstance(side, int) and isinstance(segments, int)):
            raise ValueError("not of this version")
        if not (1 <= side <= 30 and 1 <= segments <= 1024):
            raise ValueError("its side or segments are out of bounds")
        return cls(**values)


def open_exported(path: Path, to: Format, device: str = "cpu", threads: int | None = None) -> Run:
    """The exported model as a function. `threads`: of the CPU; None leaves what is set."""
    if to == "onnx":
        return _open_onnx(path, threads)
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if to == "safetensors":
        return _open_weights(path)
    model: Callable[..., Any]
    if to == "aoti":
        from torch._inductor import aoti_load_package

        model = aoti_load_package(os.fspath(path))
    else:
        model = torch.export.load(os.fspath(path)).module()

    def run(tokens: NDArray[np.int32], identity: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.no_grad():
            logits, halting = model(torch.from_numpy(tokens).to(device), torch.from_numpy(identity).to(device))
        return logits.cpu().numpy(), halting.cpu().numpy()

    return run


def _open_onnx(path: Path, threads: int | None) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about its own optimizations
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])

    def run(tokens: NDArray[np.int32], identity: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, halting = session.run([LOGITS, HALTING], {TOKENS: tokens, IDENTITY: identity})
        return logits, halting

    return run


def _open_weights(path: Path) -> Run:
    """The weights in our own code: the loop is not in the file."""
    import torch

    from hrm_core.interchange.exported import original_answer
    from hrm_core.interchange.weights_file import read_weights

    model, facts = read_weights(path)

    def run(tokens: NDArray[np.int32], identity: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        logits, halting = original_answer(
            model, torch.from_numpy(tokens), torch.from_numpy(identity), facts.side, facts.segments, facts.halting
        )
        return logits.numpy(), halting.numpy()

    return run
