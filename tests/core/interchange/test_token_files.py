"""IN.npz that is not what is wanted: a line each, nothing allocated, nothing run."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from hrm_core.errors import UserError
from hrm_core.interchange.token_files import read_tokens, write_logits

GOOD = {"tokens": np.zeros((2, 9), np.int64), "identity": np.array([0, 1])}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"tokens": GOOD["tokens"]}, "no array `identity`"),
        ({**GOOD, "tokens": np.zeros((2, 10), np.int64)}, r"shape \(2, 10\)"),
        ({**GOOD, "tokens": np.zeros((2, 31 * 31), np.int64)}, "side up to 30"),
        ({**GOOD, "tokens": np.zeros((0, 9), np.int64)}, "shape"),
        ({**GOOD, "tokens": np.full((2, 9), 12)}, "tokens goes from 12 to 12, not 0 to 11"),
        ({**GOOD, "tokens": np.zeros((2, 9))}, "float64, not integers"),
        ({**GOOD, "identity": np.array([0, -1])}, "identity goes from -1"),
        ({**GOOD, "identity": np.array([0])}, r"identity has the shape \(1,\), not \(2,\)"),
        ({**GOOD, "identity": np.array(0)}, "identity has the shape"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, arrays: dict[str, np.ndarray], said: str) -> None:
    np.savez(tmp_path / "in.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=said) as raised:
        read_tokens(tmp_path / "in.npz")
    assert len(raised.value.message.splitlines()) == 1


def test_good_ones_are_read_whatever_their_integers(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "in.npz", tokens=np.ones((2, 9), np.uint8), identity=np.array([3, 4], np.int16))
    batch = read_tokens(tmp_path / "in.npz")
    assert (batch.side, batch.tokens.sum().item(), batch.identity.tolist()) == (3, 18, [3, 4])


def bomb(path: Path, payload: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tokens.npy", payload)
        archive.writestr("identity.npy", payload)


def test_a_declared_size_is_compared_with_what_is_there(tmp_path: Path) -> None:
    head = io.BytesIO()
    npy.write_array_header_1_0(head, {"descr": "<i8", "fortran_order": False, "shape": (10**7, 900)})
    bomb(tmp_path / "in.npz", head.getvalue() + bytes(100))
    with pytest.raises(UserError, match="declares more numbers than are stored"):
        read_tokens(tmp_path / "in.npz")


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    head = io.BytesIO()
    npy.write_array_header_1_0(head, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    bomb(tmp_path / "in.npz", head.getvalue() + pickle.dumps(["x"]))
    with pytest.raises(UserError, match="object, not integers"):
        read_tokens(tmp_path / "in.npz")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"x" * 1000])
def test_what_is_no_archive_is_said(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in.npz").write_bytes(data)
    with pytest.raises(UserError, match=r"no readable \.npz"):
        read_tokens(tmp_path / "in.npz")


def test_missing_files_and_folders_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_tokens(tmp_path / "none.npz")
    with pytest.raises(UserError, match=r"out\.npz"):
        write_logits(tmp_path / "none/out.npz", np.zeros((1, 1, 1), np.float32), np.zeros((1, 2), np.float32))
