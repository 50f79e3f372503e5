"""Tensors on their way to a file: copies on the host, and the bytes of safetensors written plainly.

Training room. A checkpoint's tensors are copied between two steps and written by a thread while the run goes on. On
CUDA the copies go into pinned memory in the order of the stream: the steps that follow wait on the device for them and
change nothing in them, and nobody waits on the host. The file is what `safetensors.torch.save_file` writes, byte for
byte; that one holds the interpreter's lock while it copies, and hides a full disk behind an error of its own.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import final

import torch
from torch import Tensor

# Names in the format, and the order of the data: the widest kind first, as there.
KINDS: dict[torch.dtype, tuple[str, int]] = {
    torch.bool: ("BOOL", 0),
    torch.uint8: ("U8", 1),
    torch.int8: ("I8", 2),
    torch.int16: ("I16", 3),
    torch.float16: ("F16", 4),
    torch.bfloat16: ("BF16", 5),
    torch.int32: ("I32", 6),
    torch.float32: ("F32", 7),
    torch.float64: ("F64", 8),
    torch.int64: ("I64", 9),
}
PIECE = 16 * 2**20


def nothing() -> None:
    """There is nothing to wait for."""


@final
class HostCopies:
    """Copies of tensors on the host, for one file after another. With `reuse` the pinned memory is kept for the next
    round, so there is no more than one round at a time."""

    def __init__(self, reuse: bool = False) -> None:
        self.reuse = reuse
        self._kept: dict[str, Tensor] = {}
        self._used: dict[str, Tensor] = {}

    def take(self, file: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the tensors hold now, once `arrived` has been waited for."""
        return {name: self._copy(f"{file}/{name}", tensor.detach()) for name, tensor in tensors.items()}

    def _copy(self, name: str, tensor: Tensor) -> Tensor:
        if tensor.device.type != "cuda" or not self.reuse:
            return tensor.to("cpu", copy=True, memory_format=torch.contiguous_format)
        kept = self._kept.get(name)
        if kept is None or kept.shape != tensor.shape or kept.dtype != tensor.dtype:
            try:
                kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            except RuntimeError:  # no more memory may be pinned: the loop waits for this one
                return tensor.to("cpu", copy=True, memory_format=torch.contiguous_format)
        self._used[name] = kept
        return kept.copy_(tensor, non_blocking=True)

    def arrived(self) -> Callable[[], None]:
        """Ends the round: what waits, in any thread, until all copies are there."""
        self._kept, self._used = self._used, {}
        if not self._kept:
            return nothing
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record()
        return event.synchronize


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of the data."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes contiguous tensors of the host as safetensors. OSError as the disk gives it."""
    order = sorted(tensors, key=lambda name: (-KINDS[tensors[name].dtype][1], name))
    head: dict[str, dict[str, object]] = {}
    place = 0
    for name in order:
        tensor = tensors[name]
        end = place + tensor.numel() * tensor.element_size()
        head[name] = {
            "dtype": KINDS[tensor.dtype][0],
            "shape": list(tensor.shape),
            "data_offsets": [place, end],
        }
        place = end
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with path.open("wb", buffering=0) as file:
        _write(file.write, memoryview(struct.pack("<Q", len(text)) + text))
        for name in order:
            tensor = tensors[name]
            if tensor.numel():
                _write(file.write, tensor.reshape(-1).view(torch.uint8).numpy().data)


def _write(write: Callable[[memoryview], int | None], data: memoryview) -> None:
    while data:
        written = write(data[:PIECE])
        assert written is not None, "a plain file does not say: later"
        data = data[written:]
