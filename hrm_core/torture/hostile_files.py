"""Hostile files by themselves: data files, ARC tasks, settings. Ground -> cases, made on the spot.

Torture room. Every data file has the right sha256 beside it: a digest says that a file is whole, not that it is good.
Folders of runs and snapshots are in `hostile_folders.py`; running and judging is in `hostile.py`.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hrm_core.data.file import digest_path, digest_text
from hrm_core.torture.hostile import CONSOLE, Case, Ground, last_checkpoint, small_words

Make = Callable[[Ground, bool], Iterator[Case]]
DEEP = 200_000


def data_cases(ground: Ground, name: str, path: Path, short: bool) -> Iterator[Case]:
    """Every command that takes a data file, on this one; one of them, by its name, in the short form."""
    runs = str(path.parent / "runs")
    snapshot = str(last_checkpoint(ground.good))
    readers: list[tuple[str, ...]] = [
        ("data", "check", "--data", str(path)),
        ("data", "info", "--data", str(path)),
        ("data", "show", "00000000", "--data", str(path)),
        ("run", *small_words("--runs", runs, "--data", str(path), "--name", "one")),
        ("eval", snapshot, "--data", str(path)),
    ]
    chosen = [readers[sum(name.encode()) % len(readers)]] if short else readers
    for words in chosen:
        yield Case(f"{name}, hrm {words[0]}", words)


def sealed(path: Path) -> Path:
    """Writes the sha256 beside a data file."""
    digest_path(path).write_bytes(digest_text(path, path.read_bytes()))
    return path


def object_array(payload: bytes, packed: bool) -> bytes:
    """A .npy whose header promises Python objects and whose body is the payload; as .npz if packed."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (117 - len(header)) + b"\n"
    raw = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload
    if not packed:
        return raw
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("weights.npy", raw)
    return buffer.getvalue()


def torch_archive(payload: bytes) -> bytes:
    """What torch.save writes, with the payload in the place of its index."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def pickled(ground: Ground) -> dict[str, bytes]:
    """The payload in every dress, by file name."""
    return {
        "plain.pt": ground.pickle,
        "archive.pt": torch_archive(ground.pickle),
        "plain.npy": object_array(ground.pickle, packed=False),
        "plain.npz": object_array(ground.pickle, packed=True),
        "plain.h5": ground.pickle,
    }


def pickles(ground: Ground, short: bool) -> Iterator[Case]:
    """Each as a data file."""
    for name, data in pickled(ground).items():
        path = ground.place(f"data-{name}") / name
        path.write_bytes(data)
        yield from data_cases(ground, name, sealed(path), short)


# HDF5 -----------------------------------------------------------------------------------------------------------------


def replaced(file: h5py.File, name: str, value: Any) -> None:
    """Something else in the place of an object of a good file."""
    del file[name]
    file[name] = value


def external_storage(file: h5py.File, ground: Ground) -> None:
    """Colours of the tasks whose bytes are those of a file outside."""
    shape = file["tasks/colors"].shape
    del file["tasks/colors"]
    file["tasks"].create_dataset("colors", shape, "uint8", external=[(str(ground.outside / "secret.txt"), 0, 10**6)])


def virtual(file: h5py.File, ground: Ground) -> None:
    """Colours of the tasks that lie in another HDF5 file."""
    shape = file["tasks/colors"].shape
    layout = h5py.VirtualLayout(shape, "uint8")
    layout[...] = h5py.VirtualSource(str(ground.data), "tasks/colors", shape)
    del file["tasks/colors"]
    file["tasks"].create_virtual_dataset("colors", layout)


def column(file: h5py.File, name: str, shape: tuple[int, ...], kind: Any, **how: Any) -> None:
    """A column in the place of another."""
    del file[name]
    file.create_dataset(name, shape, kind, **how)


def bombed(file: h5py.File, name: str) -> None:
    """Zeros that were packed a thousand times."""
    column(file, name, (60_000, 30, 30), "uint8", chunks=(2000, 30, 30), compression="gzip", compression_opts=9)
    for start in range(0, 60_000, 2000):
        file[name][start : start + 2000] = 0


def attributes(file: h5py.File) -> None:
    """Thousands of attributes, and one of megabytes of texts."""
    for number in range(3000):
        file.attrs[f"a{number}"] = "x" * 1000
    file.attrs["provenance"] = np.array(["y" * 100_000] * 100, dtype=h5py.string_dtype())


def long_text(file: h5py.File) -> None:
    """The provenance as JSON without an end."""
    file.attrs["provenance"] = "[" * 8_000_000


def compound(file: h5py.File) -> None:
    """Pairs of values where one is expected."""
    column(file, "tasks/source", file["tasks/source"].shape, np.dtype([("a", "i4"), ("b", "i4")]))


HDF5: dict[str, Callable[[h5py.File, Ground], None]] = {
    "external link": lambda file, ground: replaced(
        file, "tasks/colors", h5py.ExternalLink(str(ground.data), "tasks/colors")
    ),
    "external link for a group": lambda file, ground: replaced(
        file, "tasks", h5py.ExternalLink(str(ground.data), "tasks")
    ),
    "soft link": lambda file, ground: replaced(file, "tasks/colors", h5py.SoftLink("/tasks/canvas")),
    "external storage": external_storage,
    "virtual data set": virtual,
    "huge shape": lambda file, ground: column(file, "tasks/source", (2**60,), "int32", chunks=(1024,)),
    "shape within the rules": lambda file, ground: column(
        file, "canvas/30/input", (290_000, 30, 30), "uint8", chunks=(1, 30, 30)
    ),
    "huge chunk": lambda file, ground: column(
        file, "tasks/source", (1,), "int32", chunks=(2**28,), maxshape=(None,), compression="lzf"
    ),
    "compressed bomb": lambda file, ground: bombed(file, "canvas/30/input"),
    "compound type": lambda file, ground: compound(file),
    "texts of any length": lambda file, ground: column(
        file, "tasks/id", file["tasks/id"].shape, h5py.string_dtype(), fillvalue="x" * 1000
    ),
    "references": lambda file, ground: column(file, "tasks/source", file["tasks/source"].shape, h5py.ref_dtype),
    "attributes": lambda file, ground: attributes(file),
    "long text": lambda file, ground: long_text(file),
    "group within itself": lambda file, ground: file["tasks"].__setitem__("again", file["/"]),
}


def hdf5(ground: Ground, short: bool) -> Iterator[Case]:
    """Each as a data file whose sha256 is right."""
    for name, change in HDF5.items():
        path = ground.place(f"hdf5-{name}") / "arc1.h5"
        shutil.copyfile(ground.data, path)
        with h5py.File(path, "r+") as file:
            change(file, ground)
        yield from data_cases(ground, name, sealed(path), short)


def endless(path: Path) -> None:
    """A tebibyte that takes no room."""
    with path.open("wb") as file:
        file.truncate(2**40)


def no_files(ground: Ground, short: bool) -> Iterator[Case]:
    """A pipe, a device, a folder and a link to a secret where a data file is wanted."""
    makes: dict[str, Callable[[Path], object]] = {
        "pipe": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "folder": Path.mkdir,
        "link to a secret": lambda path: path.symlink_to(ground.outside / "secret.txt"),
        "endless file": endless,
    }
    for name, make in makes.items():
        path = ground.place(f"no-{name}") / "arc1.h5"
        make(path)
        digest_path(path).write_text("0" * 64, encoding="ascii")
        yield from data_cases(ground, name, path, short)


# JSON and TOML --------------------------------------------------------------------------------------------------------

TASKS: dict[str, Callable[[int], str]] = {
    "deep": lambda size: "[" * DEEP,
    "deep objects": lambda size: '{"a":' * DEEP,
    "number without an end": lambda size: '{"train": [{"input": [[' + "9" * size + "]]}]}",
    "a key and a key": lambda size: json.dumps({f"k{number}": {} for number in range(size)}),
    "huge grid": lambda size: json.dumps(
        {"train": [{"input": [[0] * 3000] * (size // 300), "output": [[0]]}], "test": []}
    ),
    "huge row": lambda size: json.dumps({"train": [{"input": [[0] * 10 * size], "output": [[0]]}], "test": []}),
    "empty lists": lambda size: '{"train": [' + ",".join(["[]"] * 10 * size) + '], "test": []}',
    "not numbers": lambda size: '{"train": [{"input": [[NaN, Infinity]], "output": [[1e999]]}], "test": [{}]}',
    "no UTF-8": lambda size: "\udcff\udcfe",
    "escapes in names": lambda size: json.dumps({"\x1b]52;c;AA\x07../../x": {"train": 0}}),
}


def tasks(ground: Ground, short: bool) -> Iterator[Case]:
    """Each as the one task of a source of data."""
    size = 10**5 if short else 10**6
    for name, make in TASKS.items():
        folder = ground.place(f"task-{name}")
        (folder / "training").mkdir()
        (folder / "training" / "one.json").write_bytes(make(size).encode("utf-8", "surrogateescape"))
        for source in (folder,) if short else (folder, folder / "training" / "one.json"):
            words = ("data", "build", "--source", str(source), "--out", str(folder / "out.h5"))
            yield Case(f"{name}, hrm data build", words)
    folder = ground.place("task-links")
    for name in ("secret.txt", "secret.json"):
        (folder / f"{name}.json").symlink_to(ground.outside / name)
    (folder / "zero.json").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.json")
    for more in ((), ("--skip-bad",)):
        words = ("data", "build", "--source", str(folder), "--out", str(folder / "out.h5"), *more)
        yield Case("links and pipes, hrm data build", words)


TOML: dict[str, Callable[[], str]] = {
    "deep": lambda: "a = " + "[" * 20_000,
    "deep tables": lambda: "[" + "a." * 20_000 + "a]\n",
    "number of many digits": lambda: "a = " + "9" * 40_000,
    "long key": lambda: "k" * 60_000 + " = 1\n",
    "many keys": lambda: "".join(f"k{number} = 1\n" for number in range(4_000)),
    "no TOML": lambda: "\x00\x1b[2J=",
    "other types": lambda: 'base = 5\noverrides = [[[]]]\n[console]\ntheme = {a = 1}\n[runs]\nx = ["a"]\n',
}


def write_made(make: Callable[[], str], path: Path) -> None:
    """A text that is made, at a path."""
    path.write_text(make(), encoding="utf-8")


def settings(ground: Ground, short: bool) -> Iterator[Case]:
    """Each as the settings, as the keys and as an experiment of one's own."""
    for name, make in TOML.items():
        yield from configured(ground, name, partial(write_made, make), short)
    yield from configured(ground, "pipe", os.mkfifo, short)
    yield from configured(ground, "device", lambda path: path.symlink_to("/dev/zero"), short)
    yield from configured(ground, "secret", lambda path: path.symlink_to(ground.outside / "secret.toml"), short)


def configured(ground: Ground, name: str, make: Callable[[Path], object], short: bool) -> Iterator[Case]:
    """Commands that read the three files of a configuration."""
    home = ground.place(f"config-{name}")
    config = home / "hrm-console"
    (config / "experiments").mkdir(parents=True)
    for place in ("settings.toml", "keys.toml", "experiments/mine.toml"):
        make(config / place)
    runs = home / "runs"
    runs.mkdir()
    environment = {"XDG_CONFIG_HOME": str(home)}
    yield Case(f"{name}, hrm settings", ("settings",), refused=False, environment=environment)
    yield Case(f"{name}, hrm experiments mine", ("experiments", "mine"), environment=environment)
    if short:
        return
    yield Case(f"{name}, hrm experiments", ("experiments",), refused=False, environment=environment)
    words = ("--runs", str(runs), "--once")
    yield Case(f"{name}, hrm-console --once", words, CONSOLE, refused=False, environment=environment)


FILES: dict[str, tuple[str, Make]] = {
    "pickles as data": (
        "a payload as .pt, torch archive, object array, .npz and .h5, where a data file is read",
        pickles,
    ),
    "HDF5": (f"a good data file with one thing changed ({len(HDF5)} kinds), its sha256 right", hdf5),
    "what is no file": ("pipe, /dev/zero, folder, link to a secret, a file of a tebibyte as a data file", no_files),
    "ARC tasks": (f"bombs of JSON ({len(TASKS)} kinds), links and pipes as a source of data", tasks),
    "settings": (f"TOML ({len(TOML)} kinds), pipes and links as settings, keys and experiments", settings),
}
