"""Tokens in, logits out, as NumPy archives: how a model is compared with another's code, or called by a program.

Interchange room. IN.npz: `tokens` (N, T) integers 0..11 in raster order with T = side * side, `identity` (N,)
integers, each a row of the identity table. OUT.npz: `logits` (N, T, V) and `halting_logits` (N, 2) fp32 (q_halt,
q_continue). Arrays of objects are refused, and what an array declares is compared with what the archive holds before
it is allocated.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, final

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from hrm_core.data.grids import MAX_SIDE
from hrm_core.errors import UserError
from hrm_core.model.embeddings import VOCABULARY
from hrm_core.model.hrm import HRM
from hrm_core.model.inference import published_identity, run_logits
from hrm_core.runs.atomic import explain_os_error, write_bytes
from hrm_core.runs.text import clean

MAX_BYTES: Final = 2**30


@final
@dataclass(frozen=True)
class TokenBatch:
    """tokens (N, T) int32 and identity (N) int64, checked but for the number of rows that a model has."""

    tokens: Tensor
    identity: Tensor
    side: int

    def predict(
        self, model: HRM, segments: int, batch: int, on_rows: Callable[[int], None]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """logits (N, T, V) and halting logits (N, 2). UserError (2) for a row that the model does not have."""
        rows = model.rows.table.shape[0] - 1
        if model.rows.kind != "none" and len(self.identity) and int(self.identity.max()) >= rows:
            raise UserError(f"identity: row {int(self.identity.max())} is asked for, the model has {rows}")
        found: list[tuple[Tensor, Tensor]] = []
        for start in range(0, len(self.tokens), batch):
            row = self.identity[start : start + batch].to(model.device)
            tokens = self.tokens[start : start + batch].to(model.device)
            logits, halting = run_logits(model, tokens, published_identity(model, row), self.side, segments)
            found.append((logits.cpu(), halting.cpu()))
            on_rows(len(row))
        return torch.cat([one for one, _ in found]).numpy(), torch.cat([two for _, two in found]).numpy()


def read_tokens(path: Path) -> TokenBatch:
    """Reads IN.npz. UserError (2) where it is not what is wanted."""
    arrays = _read_arrays(path, ("tokens", "identity"))
    try:
        return make_batch(arrays["tokens"], arrays["identity"])
    except UserError as error:
        raise UserError(f"{clean(path)}: {error.message}") from None


def make_batch(tokens: NDArray[Any], identity: NDArray[Any]) -> TokenBatch:
    """Tokens (N, T) and rows (N,) that are given as arrays. UserError (2) where they are not what is wanted."""
    for name, values in (("tokens", tokens), ("identity", identity)):
        if values.dtype.kind not in "iu":
            raise UserError(f"`{name}` is of the type {values.dtype}, not integers")
    side = math.isqrt(tokens.shape[1]) if tokens.ndim == 2 else 0
    if tokens.ndim != 2 or not 1 <= side <= MAX_SIDE or side * side != tokens.shape[1] or not len(tokens):
        raise UserError(f"tokens has the shape {tokens.shape}, not (N, T) with T the square of a side up to 30")
    if identity.shape != (len(tokens),):
        raise UserError(f"identity has the shape {identity.shape}, not ({len(tokens)},)")
    for name, values, limit in (("tokens", tokens, VOCABULARY), ("identity", identity, 2**31)):
        if int(values.min()) < 0 or int(values.max()) >= limit:
            raise UserError(f"{name} goes from {values.min()} to {values.max()}, not 0 to {limit - 1}")
    return TokenBatch(torch.from_numpy(tokens.astype(np.int32)), torch.from_numpy(identity.astype(np.int64)), side)


def _read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_array(archive, name) for name in names}
    except OSError as error:
        raise explain_os_error(error) from error
    except UserError as error:
        raise UserError(f"{clean(path)}: {error.message}") from None
    except Exception as error:  # zipfile, zlib and numpy each have their own words for a damaged archive
        raise UserError(f"{clean(path)} is no readable .npz file ({clean(str(error))[:100]})") from None


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    if f"{name}.npy" not in archive.namelist():
        raise UserError(f"it has no array `{name}`")
    size = archive.getinfo(f"{name}.npy").file_size
    if size > MAX_BYTES:
        raise UserError(f"`{name}` is larger than {MAX_BYTES >> 20} MiB; give fewer samples at a time")
    with archive.open(f"{name}.npy") as file:
        shape, dtype = _declared(file)
        if dtype.kind not in "iu":
            raise UserError(f"`{name}` is of the type {dtype}, not integers")
        if math.prod(shape) * dtype.itemsize > size:
            raise UserError(f"`{name}` declares more numbers than are stored")
    with archive.open(f"{name}.npy") as file:
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array


def _declared(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def write_logits(path: Path, logits: NDArray[np.float32], halting: NDArray[np.float32]) -> None:
    """Writes OUT.npz whole. UserError (1) where the disk does not let it."""
    data = io.BytesIO()
    np.savez(data, logits=logits, halting_logits=halting)
    try:
        write_bytes(path, data.getvalue())
    except OSError as error:
        raise explain_os_error(error) from error
