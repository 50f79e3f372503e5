"""`replay.h5`: the buffers of EXP-09 in a checkpoint, readable by anyone.

Techniques room. /lane_<side>/ with one row for each kept sample, hardest first: task (row of the task table) and pair,
which name a training pair, augmentation, offset (row, column), loss (per token), entropy (nats), cycle (segments when
the loss was taken), step, time (Unix seconds). This file alone holds the buffers; `state.safetensors` does not. HDF5 is
written and read in memory. The reader takes this schema and nothing else: no links, no foreign data, no surprise.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrm_core.data.dataset import KEY_STRIDE
from hrm_core.data.lanes import LanePairs
from hrm_core.data.streams import augmentation_of, pool_size, room
from hrm_core.errors import UserError
from hrm_core.learning.lanes import LaneState
from hrm_core.recipe.schema import Recipe
from hrm_core.runs.formats import REMEDY
from hrm_core.runs.text import clean
from hrm_core.techniques.replay_ring import Int, Real, Ring

FILE = "replay.h5"
FORMAT = "hrm-replay"
VERSION = 1
HEAD = [FORMAT, str(VERSION)]  # attributes in the order of their names
MAX_ROWS = 10**7
MAX_BYTES = 2**30
LN2 = math.log(2.0)

Columns = dict[str, NDArray[Any]]
SPEC: dict[str, tuple[tuple[int, ...], str]] = {
    "task": ((), "int64"),
    "pair": ((), "int64"),
    "augmentation": ((), "int64"),
    "offset": ((2,), "int64"),
    "loss": ((), "float32"),
    "entropy": ((), "float64"),
    "cycle": ((), "int64"),
    "step": ((), "int64"),
    "time": ((), "float64"),
}


@final
class SurpriseError(Exception):
    """The bytes are no buffer that this run could have written; the message is the first difference."""


def rings_to_bytes(lanes: Sequence[LaneState], rings: Mapping[LaneState, Ring]) -> bytes:
    """The file."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        for lane in lanes:
            group = file.create_group(f"lane_{lane.side}")
            for name, values in _columns(rings[lane], lane.pairs).items():
                group.create_dataset(name, data=values)
    return buffer.getvalue()


def _columns(ring: Ring, pairs: LanePairs) -> Columns:
    count = int(ring.count)
    ints, reals = ring.ints[:count].cpu(), ring.reals[:count].cpu().numpy()
    index = ints[:, Int.INDEX]
    whole: Columns = {
        "task": pairs.task.cpu()[index].numpy(),
        "pair": pairs.pair.cpu()[index].numpy(),
        "augmentation": ints[:, Int.AUGMENTATION].numpy(),
        "offset": ints[:, Int.ROW : Int.COLUMN + 1].numpy(),
        "loss": reals[:, Real.LOSS].astype(np.float32),
        "entropy": reals[:, Real.ENTROPY],
        "cycle": ints[:, Int.CYCLE].numpy(),
        "step": ints[:, Int.STEP].numpy(),
        "time": reals[:, Real.TIME],
    }
    assert whole.keys() == SPEC.keys()
    return whole


def load_rings(path: Path, lanes: Sequence[LaneState], rings: Mapping[LaneState, Ring], recipe: Recipe) -> None:
    """Puts the file's rows into the rings. All or nothing: UserError before any ring is touched.

    A ring that is smaller than when the file was written (a run made shorter) keeps the hardest.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SurpriseError(f"it is larger than {MAX_BYTES} bytes")
        read = _parse(path.read_bytes(), [f"lane_{lane.side}" for lane in lanes])
        content = [_content(read[f"lane_{lane.side}"], lane, recipe) for lane in lanes]
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"{clean(path)} cannot be read ({clean(reason)}).\nResume from an earlier checkpoint.", 1
        ) from None
    except SurpriseError as error:
        raise UserError(
            f"{clean(path)} is no replay buffer of this run ({clean(error)[:200]}).\n"
            "Resume from an earlier checkpoint.",
            1,
        ) from None
    for lane, (ints, reals) in zip(lanes, content, strict=True):
        rings[lane].put(ints, reals)


def _parse(raw: bytes, names: Sequence[str]) -> dict[str, Columns]:
    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            version = file.attrs.get("version")
            if isinstance(version, int | np.integer) and int(version) > VERSION:
                raise SurpriseError(f"its version is {int(version)}: {REMEDY}")
            if set(file.attrs) != {"format", "version"} or [str(value) for value in file.attrs.values()] != HEAD:
                raise SurpriseError("its attributes are others")
            _expect(file, names)
            return {name: _read_group(file[name], name) for name in names}
    except SurpriseError:
        raise
    except Exception as error:  # h5py reports damage as OSError, KeyError, RuntimeError, ValueError or TypeError
        raise SurpriseError(f"HDF5: {str(error) or type(error).__name__}"[:160].replace("\n", " ")) from error


def _expect(group: Any, names: Sequence[str]) -> None:
    if set(group) != set(names):
        raise SurpriseError(f"{group.name} holds other names than {', '.join(names)}")
    for name in names:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise SurpriseError(f"{name} is a link")


def _read_group(group: Any, where: str) -> Columns:
    if not isinstance(group, h5py.Group) or len(group.attrs):
        raise SurpriseError(f"{where} is not a plain group")
    _expect(group, list(SPEC))
    columns: Columns = {}
    for name, (trailing, dtype) in SPEC.items():
        data = group[name]
        if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external or len(data.attrs):
            raise SurpriseError(f"{where}/{name} is not a plain data set")
        if data.ndim != 1 + len(trailing) or data.shape[1:] != trailing or data.shape[0] > MAX_ROWS:
            raise SurpriseError(f"{where}/{name} has shape {data.shape}")
        if data.dtype != np.dtype(dtype):
            raise SurpriseError(f"{where}/{name} has type {data.dtype}")
        if data.shape[0] != group["task"].shape[0]:
            raise SurpriseError(f"{where}/{name} has {data.shape[0]} rows, not {group['task'].shape[0]}")
        columns[name] = data[...]
    return columns


def _content(columns: Columns, lane: LaneState, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The rows as a ring has them, every number within what the step relies on."""
    where, side = f"lane_{lane.side}", lane.side
    bounds: dict[str, tuple[float, float]] = {
        "task": (0, 2**31),
        "pair": (0, KEY_STRIDE - 1),
        "augmentation": (0, pool_size(recipe.augment) - 1),
        "offset": (0, side - 1),
        "loss": (0.0, float(np.finfo(np.float32).max)),
        "entropy": (0.0, LN2 + 1e-6),
        "cycle": (1, recipe.halting.max_segments),
        "step": (0, 2**62),
        "time": (0.0, 2.0**40),
    }
    for name, (low, high) in bounds.items():
        values = columns[name]
        if not ((values >= low) & (values <= high)).all():  # also false for what is not a number
            raise SurpriseError(f"{where}/{name} is not within {low:g} to {high:g}")
    if (np.diff(columns["loss"]) > 0).any():
        raise SurpriseError(f"{where}/loss does not fall")
    index = _rows_of_pairs(columns, lane.pairs, where)
    pairs = lane.pairs.to("cpu")
    augmentation, offset = torch.from_numpy(columns["augmentation"]), torch.from_numpy(columns["offset"])
    dihedral, _ = augmentation_of(recipe.augment, recipe.training.seed, pairs.task[index], augmentation)
    if (offset > torch.stack(room(pairs, index, dihedral), dim=1)).any():
        raise SurpriseError(f"{where}/offset moves a grid off its canvas")
    cycle, step = (torch.from_numpy(columns[name])[:, None] for name in ("cycle", "step"))
    ints = torch.cat([index[:, None], augmentation[:, None], offset, cycle, step], dim=1)
    reals = np.stack([columns["loss"].astype(np.float64), columns["entropy"], columns["time"]], axis=1)
    return ints, torch.from_numpy(reals)


def _rows_of_pairs(columns: Columns, pairs: LanePairs, where: str) -> Tensor:
    """Rows of the lane's training pairs; a test pair, or one of other data, is none of them."""
    key = torch.from_numpy(columns["task"] * KEY_STRIDE + columns["pair"])
    known, order = torch.sort(pairs.key.cpu())
    place = torch.searchsorted(known, key).clamp(max=len(known) - 1)
    if not torch.equal(known[place], key):
        raise SurpriseError(f"{where} names a pair that the run does not train on")
    return order[place]
