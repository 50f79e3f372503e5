"""HDF5 files whose digest is right and whose content is not ours: each is refused before anything large is read."""

from __future__ import annotations

import io
import resource
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hrm_core.data.file import SurpriseError, from_bytes, read_content
from hrm_core.errors import UserError


def zeros(file: h5py.File, shape: tuple[int, ...], **how: object) -> None:
    file.create_group("canvas/7").create_dataset("input", shape, "uint8", **how)


def fill(file: h5py.File) -> None:
    data = file.create_group("canvas/30").create_dataset("input", (70_000, 30, 30), "uint8", chunks=True, compression=9)
    data[:70] = 0


def many(file: h5py.File) -> None:
    for number in range(3000):
        file.create_group(f"canvas/{number}")


def loop(file: h5py.File) -> None:
    file.create_group("canvas")["again"] = file["/"]


def text_array(file: h5py.File) -> None:
    file.attrs["format_version"] = np.array(["a" * 1000] * 1000, dtype=h5py.string_dtype())


BOMBS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "a shape without bytes": (lambda file: zeros(file, (2**40, 7, 7), chunks=(1, 7, 7)), "it claims"),
    "packed a thousand times": (fill, "not a plain data set"),
    "a chunk larger than the shape": (
        lambda file: zeros(file, (1, 7, 7), chunks=(2**20, 7, 7), maxshape=(None, 7, 7)),
        "not a plain data set",
    ),
    "a filter that loads code": (lambda file: zeros(file, (9, 7, 7), chunks=True, scaleoffset=2), "not a plain"),
    "too many groups": (many, "far too many"),
    "a group within itself": (loop, "far too many"),
    "an array for an attribute": (text_array, "attribute"),
    "a soft link": (lambda file: file.__setitem__("canvas", h5py.SoftLink("/tasks")), "is a link"),
    "a reference": (lambda file: file.create_dataset("a", (1,), h5py.ref_dtype), "not a plain data set"),
    "a row of pairs of a byte each": (
        lambda file: file.create_group("canvas/1").create_dataset(
            "input", (900_000, 1, 1), "uint8", chunks=(900_000, 1, 1), compression="lzf"
        ),
        "it claims",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(name: str) -> None:
    make, words = BOMBS[name]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        make(file)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SurpriseError, match=words):
        from_bytes(buffer.getvalue())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def test_a_device_is_no_data_file() -> None:
    with pytest.raises(UserError, match="no regular file"):
        read_content(Path("/dev/zero"), "build it")
