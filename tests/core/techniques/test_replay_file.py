"""replay.h5: what is written comes back, and what this run cannot have written is refused before a ring changes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from technique_bench import run_steps, tiny_parts

from hrm_core.errors import UserError
from hrm_core.learning.lanes import LaneState
from hrm_core.techniques.replay import Replay
from hrm_core.techniques.replay_file import FILE, SPEC, load_rings, rings_to_bytes
from hrm_core.techniques.replay_ring import Ring
from hrm_core.training.step import StepParts

LANE = "lane_7"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, arc1_file: Path) -> tuple[StepParts, dict[LaneState, Ring]]:
    parts = tiny_parts(arc1_file, ("techniques.replay.window=25", "training.batch=20", "augment.pool=4"))
    run_steps(parts, 9)
    technique = parts.techniques.plugs[-1].attach.__self__  # type: ignore[union-attr]
    assert isinstance(technique, Replay)
    return parts, dict(technique.rings)


Filled = tuple[StepParts, dict[LaneState, Ring]]


def test_it_comes_back(filled: Filled, tmp_path: Path) -> None:
    parts, rings = filled
    (lane,) = parts.lanes
    (tmp_path / FILE).write_bytes(rings_to_bytes(parts.lanes, rings))
    with h5py.File(tmp_path / FILE) as file:
        assert list(file) == [LANE] and set(file[LANE]) == set(SPEC)
        pairs = {(int(task), int(pair)) for task, pair in zip(file[LANE]["task"], file[LANE]["pair"], strict=True)}
        assert len(file[LANE]["loss"]) == int(rings[lane].count) > 5
    assert pairs <= set(zip(lane.pairs.task.tolist(), lane.pairs.pair.tolist(), strict=True))
    other = Ring(rings[lane].size, lane.pairs.task, 4, lane.side)
    load_rings(tmp_path / FILE, parts.lanes, {lane: other}, parts.recipe)
    assert all(map(torch.equal, rings[lane].tensors().values(), other.tensors().values()))


def replace(name: str, change: Callable[[np.ndarray], Any], **settings: Any) -> Callable[[h5py.File], None]:
    """Another data set in the place of `name`."""

    def apply(file: h5py.File) -> None:
        values = change(file[LANE][name][...])
        del file[LANE][name]
        file[LANE].create_dataset(name, data=values, **settings)

    return apply


def first(value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[0] = value
        return values

    return change


def soft_link(file: h5py.File) -> None:
    del file[LANE]["time"]
    file[LANE]["time"] = h5py.SoftLink(f"/{LANE}/entropy")


def external_link(file: h5py.File) -> None:
    del file[LANE]
    file[LANE] = h5py.ExternalLink("other.h5", "/")


def external_data(file: h5py.File) -> None:
    rows = len(file[LANE]["loss"])
    del file[LANE]["loss"]
    file[LANE].create_dataset("loss", (rows,), "float32", external=[("other.bin", 0, 4 * rows)])


def virtual_data(file: h5py.File) -> None:
    rows = len(file[LANE]["loss"])
    del file[LANE]["loss"]
    layout = h5py.VirtualLayout((rows,), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "x", (rows,))
    file[LANE].create_virtual_dataset("loss", layout)


def claims_much(file: h5py.File) -> None:
    for name, (trailing, dtype) in SPEC.items():
        del file[LANE][name]
        file[LANE].create_dataset(name, (10**12, *trailing), dtype, chunks=(1024, *trailing))


def untrained_pair(file: h5py.File) -> None:
    """The pairs of a task are numbered demonstrations first: 1,999 is none that is trained on."""
    replace("pair", first(1999))(file)


def to_attribute(name: str, value: Any) -> Callable[[h5py.File], None]:
    def apply(file: h5py.File) -> None:
        file.attrs[name] = value

    return apply


HOSTILE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "soft link": (soft_link, "time is a link"),
    "external link": (external_link, "lane_7 is a link"),
    "external data": (external_data, "plain data set"),
    "virtual data": (virtual_data, "plain data set"),
    "another group": (lambda file: file.create_group("lane_10"), "holds other names"),
    "another column": (lambda file: file[LANE].create_dataset("more", data=[1]), "holds other names"),
    "a column missing": (lambda file: file[LANE].__delitem__("step"), "holds other names"),
    "another format": (to_attribute("format", "else"), "attributes"),
    "another version": (to_attribute("version", 2), "newer version"),
    "an attribute more": (to_attribute("more", [1, 2]), "attributes"),
    "an attribute of arrays": (to_attribute("version", [1, 1]), "attributes"),
    "other type": (replace("loss", lambda values: values.astype("float64")), "has type float64"),
    "text": (replace("step", lambda values: values.astype("S8")), "has type"),
    "other shape": (replace("offset", lambda values: values[:, :1]), "has shape"),
    "one row less": (replace("step", lambda values: values[1:]), "rows, not"),
    "claims to be huge": (claims_much, "has shape"),
    "loss not a number": (replace("loss", first(np.nan)), "loss is not within"),
    "endless loss": (replace("loss", first(np.inf)), "loss is not within"),
    "loss below nothing": (replace("loss", lambda values: -values - 1), "loss is not within"),
    "not in order": (replace("loss", lambda values: values[::-1].copy()), "does not fall"),
    "entropy beyond a coin's": (replace("entropy", first(0.7)), "entropy is not within"),
    "no such augmentation": (replace("augmentation", first(4)), "augmentation is not within"),
    "augmentation below nothing": (replace("augmentation", first(-1)), "augmentation is not within"),
    "off the canvas": (replace("offset", first([0, 7])), "offset is not within"),
    "grid pushed over the edge": (replace("offset", lambda values: values * 0 + 6), "moves a grid off"),
    "segment that there is not": (replace("cycle", first(5)), "cycle is not within"),
    "step before the first": (replace("step", first(-1)), "step is not within"),
    "time not a number": (replace("time", first(np.nan)), "time is not within"),
    "pair not trained on": (untrained_pair, "does not train on"),
    "task that there is not": (replace("task", first(2**30)), "does not train on"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_it_cannot_have_written_is_refused(name: str, filled: Filled, tmp_path: Path) -> None:
    parts, rings = filled
    (lane,) = parts.lanes
    change, says = HOSTILE[name]
    buffer = io.BytesIO(rings_to_bytes(parts.lanes, rings))
    with h5py.File(buffer, "r+") as file:
        change(file)
    refused(parts, rings[lane], buffer.getvalue(), says, tmp_path)


@pytest.mark.parametrize("raw", [b"", b"\x89HDF\r\n\x1a\n" + b"\0" * 99, b"no HDF5"])
def test_bytes_that_are_no_hdf5_are_refused(raw: bytes, filled: Filled, tmp_path: Path) -> None:
    parts, rings = filled
    refused(parts, rings[parts.lanes[0]], raw, "HDF5:", tmp_path)


def test_a_file_cut_short_is_refused(filled: Filled, tmp_path: Path) -> None:
    parts, rings = filled
    raw = rings_to_bytes(parts.lanes, rings)
    refused(parts, rings[parts.lanes[0]], raw[: len(raw) // 2], "HDF5:", tmp_path)


def refused(parts: StepParts, ring: Ring, raw: bytes, says: str, folder: Path) -> None:
    """A UserError of two lines that names the file; the ring is what it was."""
    before = {name: value.clone() for name, value in ring.tensors().items()}
    (folder / FILE).write_bytes(raw)
    with pytest.raises(UserError) as caught:
        load_rings(folder / FILE, parts.lanes, {parts.lanes[0]: ring}, parts.recipe)
    message = caught.value.message
    assert says in message and FILE in message and len(message.splitlines()) == 2 and caught.value.exit_code == 1
    assert all(torch.equal(before[name], value) for name, value in ring.tensors().items())
