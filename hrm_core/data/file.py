"""The built file on disk: Content -> bytes -> Content. HDF5 is written and read in memory only.

A full disk is then a plain OSError of the one atomic writer, and a reader never holds a file open. The reader looks at
the sha256 beside the file first and then accepts the schema and nothing else: no links, no external or virtual data,
no surprise names, shapes or types. Every failure is a UserError that says how to get a good file. Bytes that HDF5
itself does not survive are not noticed here: `guard.py` has a child read a file first.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, final

import h5py
import numpy as np

from hrm_core.data import schema
from hrm_core.data.schema import Columns, Content
from hrm_core.errors import UserError
from hrm_core.runs.files import read_named
from hrm_core.runs.formats import REMEDY

BUILD_IT = "build it with `hrm data build arc1` (or arc2, or --source DIR)"
CHUNK_ROWS = 64
MAX_FILE_BYTES = 2**31
# What a file may unpack to: a grid padded to 30x30 packs 5 to 20 times smaller, a bomb a thousand times.
FREE_BYTES, MOST_TIMES = 64 * 2**20, 200
MAX_ATTRIBUTE_BYTES = 2**20
MAX_OBJECTS = 2000


def digest_path(path: Path) -> Path:
    """Where the sha256 of a built file is: the same name with `.sha256` added."""
    return path.with_name(path.name + ".sha256")


def digest_text(path: Path, raw: bytes) -> bytes:
    """What stands there for a file of these bytes, as sha256sum writes it."""
    return f"{hashlib.sha256(raw).hexdigest()}  {path.name}\n".encode("utf-8", "replace")


def to_bytes(content: Content) -> bytes:
    """The HDF5 file of a Content, with the digest of the content among its attributes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, value in {**content.attributes, "content_sha256": content_digest(content)}.items():
            file.attrs[name] = value
        for name, (columns, spec, _) in content.groups().items():
            _write_group(file, name, columns, spec)
    return buffer.getvalue()


def content_digest(content: Content) -> str:
    """sha256 over every attribute and column: equal for equal data, whatever the compression made of it."""
    digest = hashlib.sha256()
    for name in schema.ATTRIBUTES:
        if name != "content_sha256":
            digest.update(f"{name}={content.attributes[name]}\0".encode())
    for group, (columns, spec, _) in content.groups().items():
        for name in spec if len(next(iter(columns.values()), ())) else ():
            values = columns[name]
            digest.update(f"{group}/{name} {values.shape} {values.dtype.str}\0".encode())
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _write_group(file: h5py.File, name: str, columns: Columns, spec: schema.Spec) -> None:
    if not columns or len(next(iter(columns.values()))) == 0:
        return
    assert columns.keys() == spec.keys(), (name, sorted(columns))
    group = file.create_group(name)
    for column, values in columns.items():
        if values.ndim == 3:  # automatic chunking would cut across the grids: 35 ms a batch instead of 0.2
            chunks = (min(CHUNK_ROWS, len(values)), *values.shape[1:])
            group.create_dataset(column, data=values, chunks=chunks, compression="lzf", fletcher32=True)
        else:
            chunks = values.shape
            group.create_dataset(column, data=values, chunks=chunks, compression="lzf", fletcher32=True)


def recorded_digest(path: Path) -> str:
    """The sha256 that stands beside a file, "" where it is no word. OSError where there is none to read."""
    return next(iter(read_named(digest_path(path), 2**16).decode("ascii", "replace").split()), "")


def read_bytes(path: Path, remedy: str) -> tuple[bytes, str]:
    """A built file's bytes and their sha256, which is the recorded one; else UserError, ending with `remedy`."""
    try:
        raw = read_named(path, MAX_FILE_BYTES)
    except FileNotFoundError:
        raise UserError(f"no data file at {path}; {remedy}", exit_code=1) from None
    except OSError as error:
        raise UserError(f"data file {path} cannot be read ({error.strerror or error})", exit_code=1) from None
    digest = hashlib.sha256(raw).hexdigest()
    try:
        expected = recorded_digest(path)
    except OSError:
        raise UserError(f"data file {path} has no readable {digest_path(path).name}; {remedy}", exit_code=1) from None
    if expected != digest:
        message = f"data file {path} is damaged or was changed (its sha256 is not the recorded one); {remedy}"
        raise UserError(message, exit_code=1)
    return raw, digest


def parse_file(path: Path, raw: bytes, remedy: str) -> Content:
    """What a file of these bytes holds; UserError, ending with `remedy`, if that is not good. This is HDF5's turn."""
    try:
        return from_bytes(raw)
    except SurpriseError as error:
        message = f"data file {path} is not one that this version reads ({error}); {remedy}"
        raise UserError(message, exit_code=1) from None


def read_content(path: Path, remedy: str) -> tuple[Content, str]:
    """A built file whole, with the digest of its content; UserError, ending with `remedy`, if it is not good."""
    content = parse_file(path, read_bytes(path, remedy)[0], remedy)
    return content, str(content.attributes["content_sha256"])


@final
class SurpriseError(Exception):
    """The bytes are not a built file of this format; the message is the first difference."""


def from_bytes(raw: bytes) -> Content:
    """Parse and check a built file; SurpriseError at the first thing that the schema does not know."""
    try:
        with h5py.File(io.BytesIO(raw), "r") as file:
            _refuse_bombs(file, len(raw))
            return _read_file(file)
    except SurpriseError:
        raise
    except Exception as error:  # h5py reports damage as OSError, KeyError, RuntimeError, ValueError or TypeError
        raise SurpriseError(f"HDF5: {str(error) or type(error).__name__}"[:200].replace("\n", " ")) from error


def _refuse_bombs(file: h5py.File, num_bytes: int) -> None:
    """SurpriseError where reading would take far more memory than the file has bytes; nothing is read here.

    Counted as it is used: every pair is laid on 30x30 at the end, whatever its canvas.
    """
    declared = rows = seen = 0
    waiting: list[h5py.Group] = [file]
    while waiting:
        group = waiting.pop()
        for name in group:
            seen += 1
            if seen > MAX_OBJECTS:
                raise SurpriseError("it holds far too many groups and columns")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise SurpriseError(f"{group.name}/{name} is a link")
            found = group[name]
            if isinstance(found, h5py.Group):
                waiting.append(found)
            elif isinstance(found, h5py.Dataset):
                _refuse_storage(found)
                declared += (found.size or 0) * found.dtype.itemsize
                is_input = name == "input" and found.ndim == 3
                rows += found.shape[0] if is_input else 0
    if declared + rows * 2 * 900 > FREE_BYTES + MOST_TIMES * num_bytes:
        raise SurpriseError(f"it claims {declared >> 20} MiB in {num_bytes >> 10} KiB")


def _refuse_storage(data: h5py.Dataset) -> None:
    """SurpriseError unless a column is packed as we pack: other filters load code, larger chunks fill memory."""
    plain = data.dtype.kind in "iuS" and data.shape is not None and not data.is_virtual and not data.external
    packed = data.compression in (None, "lzf") and data.scaleoffset is None
    chunks = data.chunks or ()
    if not plain or not packed or any(side > most for side, most in zip(chunks, data.shape, strict=False)):
        raise SurpriseError(f"{data.name} is not a plain data set")


def _attribute(file: h5py.File, name: str) -> Any:
    """A single number or text among the attributes; SurpriseError for anything else, before it is read."""
    found = file.attrs.get_id(name)
    text = h5py.check_string_dtype(found.dtype)
    if found.shape != () or (text is None and found.dtype.kind not in "iu") or found.dtype.itemsize > 64:
        raise SurpriseError(f"attribute {name} has an unexpected type")
    value = file.attrs[name]
    if isinstance(value, str) and len(value) > MAX_ATTRIBUTE_BYTES:
        raise SurpriseError(f"attribute {name} is too long")
    return int(value) if isinstance(value, np.integer) else value


def _read_file(file: h5py.File) -> Content:
    attributes = _read_attributes(file)
    _expect_children(file, {"canvas", "tasks"}, {"oversize", "curriculum", "objects"})
    canvas_group = _group(file, "canvas")
    canvas: dict[int, Columns] = {}
    for name in canvas_group:
        if not (name.isascii() and name.isdigit() and str(int(name)) == name and 1 <= int(name) <= 30):
            raise SurpriseError(f"canvas {name!r}")
        side = int(name)
        canvas[side] = _read_columns(_group(canvas_group, name), schema.PAIR_COLUMNS, side)
    content = Content(
        attributes,
        canvas,
        _read_columns(_group(file, "tasks"), schema.TASK_COLUMNS, 0),
        _read_optional(file, "oversize", schema.OVERSIZE_COLUMNS),
        _read_optional(file, "curriculum", schema.STAGE_COLUMNS),
        _read_optional(file, "objects", schema.OBJECT_COLUMNS),
    )
    check_values(content)
    if attributes["content_sha256"] != content_digest(content):
        raise SurpriseError("its content is not what its own digest says")
    return content


def _read_attributes(file: h5py.File) -> dict[str, Any]:
    # First: what a newer file holds is nothing to judge by our schema.
    version = _attribute(file, "format_version") if "format_version" in file.attrs else None
    if isinstance(version, int) and version > schema.FORMAT_VERSION:
        raise SurpriseError(f"format_version {version}: {REMEDY}")
    if set(file.attrs) != schema.ATTRIBUTES.keys():
        raise SurpriseError("attributes are not those of a data file")
    attributes: dict[str, Any] = {}
    for name, kind in schema.ATTRIBUTES.items():
        value = _attribute(file, name)
        if type(value) is not kind:
            raise SurpriseError(f"attribute {name} has an unexpected type")
        attributes[name] = value
    if attributes["format"] != schema.FORMAT or attributes["format_version"] != schema.FORMAT_VERSION:
        raise SurpriseError(f"format {attributes['format'][:40]!r} version {attributes['format_version']}")
    return attributes


def _expect_children(group: h5py.Group, needed: set[str], allowed: set[str]) -> None:
    names = set(group)
    if not needed <= names <= needed | allowed:
        raise SurpriseError(f"unexpected or missing groups or columns in {group.name}")
    for name in names:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise SurpriseError(f"{group.name}/{name} is a link")


def _group(parent: h5py.Group, name: str) -> h5py.Group:
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise SurpriseError(f"{name} is a link")
    group = parent[name]
    if not isinstance(group, h5py.Group) or len(group.attrs):
        raise SurpriseError(f"{name} is not a plain group")
    return group


def _read_optional(file: h5py.File, name: str, spec: schema.Spec) -> Columns:
    return _read_columns(_group(file, name), spec, 0) if name in file else schema.empty_columns(spec)


def _read_columns(group: h5py.Group, spec: schema.Spec, side: int) -> Columns:
    _expect_children(group, set(spec), set())
    columns: Columns = {}
    num_rows: int | None = None
    for name, (trailing, dtype) in spec.items():
        data = group[name]
        if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external or len(data.attrs):
            raise SurpriseError(f"{group.name}/{name} is not a plain data set")
        shape = tuple(side if size == "side" else size for size in trailing)
        if data.ndim != 1 + len(shape) or data.shape[1:] != shape or not 1 <= data.shape[0] <= schema.MAX_ROWS:
            raise SurpriseError(f"{group.name}/{name} has shape {data.shape}")
        if data.size > schema.MAX_CELLS:
            raise SurpriseError(f"{group.name}/{name} claims {data.size} cells")
        num_rows = data.shape[0] if num_rows is None else num_rows
        if data.shape[0] != num_rows:
            raise SurpriseError(f"{group.name}/{name} has {data.shape[0]} rows, not {num_rows}")
        if dtype == "S":
            good = data.dtype.kind == "S" and 1 <= data.dtype.itemsize <= schema.MAX_ID_BYTES
        else:
            good = data.dtype == np.dtype(dtype)
        if not good:
            raise SurpriseError(f"{group.name}/{name} has type {data.dtype}")
        columns[name] = data[...]
    return columns


def check_values(content: Content) -> None:
    """Every number within what the rest of the program relies on; SurpriseError otherwise."""
    num_tasks = len(content.tasks["id"])
    if len(np.unique(content.tasks["id"])) != num_tasks:
        raise SurpriseError("/tasks/id names a task twice")
    _in_range(content.tasks, "/tasks", {"source": (0, _num_sources(content.attributes["provenance"]) - 1)})
    for side, rows in content.canvas.items():
        where = f"/canvas/{side}"
        _in_range(rows, where, {"task": (0, num_tasks - 1), "split": (0, 2), "duplicate": (0, 1), "pair": (0, 1999)})
        _in_range(rows, where, {"oversize": (-1, len(content.oversize["task"]) - 1)})
        _in_range(rows, where, {"input_height": (1, side), "input_width": (1, side)})
        _in_range(rows, where, {"target_height": (1, 30), "target_width": (1, 30)})
        fits = rows["oversize"] < 0
        _check_grids(rows["input"], rows["input_height"], rows["input_width"], f"{where}/input")
        _check_grids(rows["target"], rows["target_height"] * fits, rows["target_width"] * fits, f"{where}/target")
    over = content.oversize
    _in_range(over, "/oversize", {"task": (0, num_tasks - 1), "split": (0, 2), "pair": (0, 1999)})
    _in_range(over, "/oversize", {"target_height": (1, 30), "target_width": (1, 30)})
    _check_grids(over["target"], over["target_height"], over["target_width"], "/oversize/target")
    flags = {"evaluation": (0, 1), "size_varies": (0, 1), "known_side": (1, 30), "canvas": (1, 30), "stage": (1, 30)}
    _in_range(content.objects, "/objects", {"task": (0, num_tasks - 1), "pair": (0, 1999), "color": (1, 10)})
    _in_range(content.tasks, "/tasks", flags | {"num_demonstrations": (1, 1000), "num_tests": (1, 1000)})
    if not (np.sort(content.tasks["colors"], axis=1) == np.arange(10)).all():
        raise SurpriseError("/tasks/colors are not permutations")


def _num_sources(provenance: str) -> int:
    """How many sources the provenance names; SurpriseError if it is not what the builder writes."""
    try:
        value = json.loads(provenance)
    except (ValueError, RecursionError):
        value = None
    sources = value.get("sources") if isinstance(value, dict) else None
    kinds = {"name": str, "digest": str, "licence": str, "tasks": int, "skipped": int, "notes": list}
    if not isinstance(sources, list) or not all(
        isinstance(source, dict) and all(isinstance(source.get(key), kind) for key, kind in kinds.items())
        for source in sources
    ):
        raise SurpriseError("attribute provenance does not name the sources")
    return len(sources)


def _in_range(columns: Columns, where: str, bounds: dict[str, tuple[int, int]]) -> None:
    for name, (low, high) in bounds.items():
        values = columns[name]
        if len(values) and (values.min() < low or values.max() > high):
            raise SurpriseError(f"{where}/{name} is not within {low}..{high}")


def _check_grids(grids: np.ndarray[Any, Any], height: Any, width: Any, where: str) -> None:
    cell = np.arange(grids.shape[1])
    inside = (cell[None, :, None] < np.asarray(height)[:, None, None]) & (
        cell[None, None, :] < np.asarray(width)[:, None, None]
    )
    if not ((grids < 10) == inside).all() or (grids > 10).any():
        raise SurpriseError(f"{where} has cells that do not agree with its sizes")
