"""Binary formats: the built HDF5 data and the safetensors of a snapshot.

Torture room. HDF5 is parsed in the child alone: a file that the library does not survive is a crash of that process.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from random import Random

import numpy as np

from hrm_core.data.build import build
from hrm_core.data.file import SurpriseError, from_bytes, to_bytes
from hrm_core.data.grids import Pair, Task
from hrm_core.data.sources.source import Source
from hrm_core.torture.fuzz_reader import Reader, Wrong
from hrm_core.torture.mutate import change_value


def made_data(tasks: int) -> bytes:
    """A built file of a few tiny tasks."""

    def pair(number: int) -> Pair:
        grid = (np.arange(12, dtype=np.uint8).reshape(3, 4) + number) % 10
        return Pair(grid, grid.T.copy())

    made = [
        Task(f"t{task}", "made", task % 3 == 2, (pair(task), pair(task + 1)), (pair(task + 2),))
        for task in range(tasks)
    ]
    return to_bytes(build([Source("made", tuple(made))]))


def data(folder: Path) -> Reader:
    """The HDF5 itself, as where the sha256 beside it had been made anew: only its own content may come of it."""
    seeds = [made_data(count) for count in (4, 7)]
    known = {str(from_bytes(raw).attributes["content_sha256"]) for raw in seeds}

    def read(label: str, raw: bytes, forged: bool) -> bool:
        try:
            content = from_bytes(raw)
        except SurpriseError:
            return False
        if content.attributes["content_sha256"] not in known:
            raise Wrong("content that was not written")
        return True

    return Reader([("data.h5", raw) for raw in seeds], read)


def _with_header(raw: bytes, random: Random) -> bytes:
    """A safetensors file with its header changed as JSON, or its stated length."""
    (length,) = struct.unpack("<Q", raw[:8])
    header, body = raw[8 : 8 + length], raw[8 + length :]
    if random.random() < 0.2:
        return struct.pack("<Q", random.choice((0, 1, length + 8, 2**31, 2**63, 2**64 - 1))) + raw[8:]
    try:
        text = json.dumps(change_value(json.loads(header), random)).encode("ascii")
    except (ValueError, RecursionError):
        return raw
    return struct.pack("<Q", len(text)) + text + body


def weights(folder: Path) -> Reader:
    """Files of tensors, as where nobody had looked at their sha256: no code, no more memory than the file."""
    import torch
    from safetensors.torch import save

    from hrm_core.training.checkpoint import load_tensors

    torch.set_num_threads(1)
    tensors = {"trunk": torch.arange(40.0), "rows.table": torch.ones(3, 4, dtype=torch.bfloat16)}
    seeds = [save(tensors), save({**tensors, "sums": torch.zeros(5, dtype=torch.float64)}, {"format": "pt"})]
    path = folder / "weights.safetensors"

    def read(label: str, raw: bytes, forged: bool) -> bool:
        path.write_bytes(raw)
        found = load_tensors(path)
        if sum(tensor.numel() * tensor.element_size() for tensor in found.values()) > len(raw):
            raise Wrong("more tensors than the file has bytes")
        return True

    def forge(label: str, raw: bytes, random: Random) -> bytes:
        return _with_header(raw, random)

    return Reader([("weights.safetensors", raw) for raw in seeds], read, forge)
