"""Binary formats: the built HDF5 data and the safetensors of a snapshot.

Torture room. HDF5 is read as a command reads it: the guard first, then the loader. For each mutant a process of its own
is forked, which binds itself and reads by the very function of the guard's child; for every hundredth the guard starts
its child as a command does, which takes far longer than the reading.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from hrm_core.data.build import build
from hrm_core.data.file import BUILD_IT, digest_path, digest_text, from_bytes, read_content, to_bytes
from hrm_core.data.grids import Pair, Task
from hrm_core.data.guard import Answer, Bounds, ask_child, refuse_harmful
from hrm_core.data.guard_child import Read, bounded, read_file
from hrm_core.data.sources.source import Source
from hrm_core.torture.fuzz_reader import Reader, Wrong
from hrm_core.torture.mutate import change_value

WHOLE_EVERY: Final = 100


def ask_forked(path: Path, bounds: Bounds, read: Read = read_file) -> Answer:
    """What the guard's child answers, from a fork of this process, which has h5py already."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1  # as of an interpreter that ends with a traceback
        try:
            code, said = bounded(path, bounds.memory, bounds.cpu_s, read)
            os.write(theirs, said.encode("utf-8", "backslashreplace")[:10_000])
        finally:
            os._exit(code)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        ended = bool(select.select([pipe], [], [], bounds.wall_s)[0])  # there is something to read, or the end
        if not ended:
            os.kill(pid, signal.SIGKILL)
        said = pipe.read().decode("utf-8", "replace")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Answer(code, said) if ended else Answer(None, "")


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
    """The HDF5, its sha256 made anew for each mutant: only its own content may come of it, and no process may die but
    the guard's."""
    seeds = [made_data(count) for count in (4, 7)]
    known = {str(from_bytes(raw).attributes["content_sha256"]) for raw in seeds}

    path, asked = folder / "data.h5", 0

    def ask(path: Path, bounds: Bounds) -> Answer:
        nonlocal asked
        asked += 1
        return (ask_child if (asked - 1) % WHOLE_EVERY == 0 else ask_forked)(path, bounds)

    def read(label: str, raw: bytes, forged: bool) -> bool:
        path.write_bytes(raw)
        digest_path(path).write_bytes(digest_text(path, raw))
        refuse_harmful(path, ask)
        content, _ = read_content(path, BUILD_IT)
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
