"""What is written against what is read back, and every surprise in a file against a refusal (never a crash).

Surprises: other groups, links, virtual and external data, wrong shapes and types, values that lie, damaged bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hrm_core.data import schema
from hrm_core.data.build import build
from hrm_core.data.file import SurpriseError, content_digest, digest_path, from_bytes, read_content, to_bytes
from hrm_core.data.grids import Task
from hrm_core.data.prepare import write_built
from hrm_core.data.schema import Content
from hrm_core.data.sources.source import Source
from hrm_core.errors import UserError


@pytest.fixture
def content(synthetic_tasks: list[Task]) -> Content:
    return build([Source("synthetic", tuple(synthetic_tasks), licence="none")])


def assert_same(one: Content, other: Content) -> None:
    assert one.groups().keys() == other.groups().keys()
    for name, (columns, spec, _) in one.groups().items():
        for column in spec:
            np.testing.assert_array_equal(columns[column], other.groups()[name][0][column])
            assert columns[column].dtype == other.groups()[name][0][column].dtype


def test_what_is_written_is_read_back(content: Content, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.h5"
    write_built(content, path)
    back, digest = read_content(path, "build it")
    assert_same(content, back)
    assert digest == content_digest(content) == back.attributes["content_sha256"]
    assert sorted(item.name for item in path.parent.iterdir()) == ["b.h5", "b.h5.sha256"]
    recorded = digest_path(path).read_text().split()
    assert recorded == [hashlib.sha256(path.read_bytes()).hexdigest(), "b.h5"]


def test_building_again_gives_the_same_digest(content: Content, synthetic_tasks: list[Task]) -> None:
    again = build([Source("synthetic", tuple(synthetic_tasks), licence="none")])
    assert content_digest(again) == content_digest(content)
    other = build([Source("synthetic", tuple(synthetic_tasks[:-1]), licence="none")])
    assert content_digest(other) != content_digest(content)


def test_layout_of_the_file(content: Content) -> None:
    with h5py.File(io.BytesIO(to_bytes(content)), "r") as file:
        assert set(file) == {"canvas", "tasks", "oversize", "curriculum", "objects"}
        assert set(file["canvas"]) == {"10", "14", "18", "30"}  # no pair needs 24: its group is left out
        grids = file["canvas/10/input"]
        assert grids.chunks == (min(64, len(grids)), 10, 10)
        assert grids.compression == "lzf" and grids.fletcher32
        assert dict(file.attrs)["format_version"] == schema.FORMAT_VERSION
        source = json.loads(file.attrs["provenance"])["sources"][0]
        assert (source["name"], source["tasks"]) == ("synthetic", 7)
        assert len(file["oversize/task"]) == 2  # `grows` (12x12 on canvas 10) and `shoots`


def test_a_file_without_oversize_outputs_has_no_such_group(make_task: Callable[..., Task]) -> None:
    small = ((3, 3), (3, 3))
    content = build([Source("synthetic", (make_task("a", [small], [small]),))])
    raw = to_bytes(content)
    with h5py.File(io.BytesIO(raw), "r") as file:
        assert "oversize" not in file
    assert_same(content, from_bytes(raw))


def changed(content: Content, change: Callable[[h5py.File], object]) -> bytes:
    buffer = io.BytesIO(to_bytes(content))
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def replace(file: h5py.File, name: str, data: object) -> None:
    del file[name]
    file.create_dataset(name, data=data)


def make_virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(file["tasks/known_side"].shape, "int32")
    layout[:] = h5py.VirtualSource(file["tasks/canvas"])
    del file["tasks/known_side"]
    file.create_virtual_dataset("tasks/known_side", layout)


def make_external(file: h5py.File) -> None:
    shape = file["tasks/known_side"].shape
    del file["tasks/known_side"]
    file.create_dataset("tasks/known_side", shape, "int32", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def make_soft_link(file: h5py.File) -> None:
    del file["tasks/stage"]
    file["tasks/stage"] = h5py.SoftLink("/tasks/canvas")


def make_external_link(file: h5py.File) -> None:
    del file["oversize"]
    file["oversize"] = h5py.ExternalLink("other.h5", "/oversize")


def write_to(name: str, place: object, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name][place] = value

    return change


SURPRISES: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "another group": (lambda f: f.create_group("code"), "groups or columns in /"),
    "another column": (lambda f: f.create_dataset("tasks/extra", data=[1]), "groups or columns in /tasks"),
    "a missing column": (lambda f: f.__delitem__("tasks/stage"), "groups or columns in /tasks"),
    "a missing group": (lambda f: f.__delitem__("tasks"), "groups or columns in /"),
    "a group for a column": (lambda f: (f.__delitem__("tasks/stage"), f.create_group("tasks/stage")), "plain data set"),
    "a strange canvas": (lambda f: f.move("canvas/10", "canvas/1_0"), "canvas '1_0'"),
    "a canvas too large": (lambda f: f.move("canvas/10", "canvas/31"), "canvas '31'"),
    "a canvas of another side": (lambda f: f.move("canvas/10", "canvas/11"), "has shape"),
    "a soft link": (make_soft_link, "is a link"),
    "an external link": (make_external_link, "is a link"),
    "virtual data": (make_virtual, "not a plain data set"),
    "external data": (make_external, "not a plain data set"),
    "another type": (lambda f: replace(f, "tasks/stage", np.zeros(7, np.int64)), "has type int64"),
    "text for numbers": (lambda f: replace(f, "tasks/stage", np.array([b"x"] * 7)), "has type |S1"),
    "another length": (lambda f: replace(f, "tasks/stage", np.zeros(6, np.int32)), "has 6 rows, not 7"),
    "another rank": (lambda f: replace(f, "tasks/stage", np.zeros((7, 1), np.int32)), "has shape (7, 1)"),
    "no rows": (lambda f: replace(f, "tasks/id", np.zeros(0, "S4")), "has shape (0,)"),
    "another attribute": (lambda f: f.attrs.__setitem__("note", "hello"), "attributes"),
    "an attribute of another type": (lambda f: f.attrs.__setitem__("seed", "x"), "attribute seed"),
    "a column's attribute": (lambda f: f["tasks/id"].attrs.__setitem__("a", 1), "not a plain data set"),
    "a later version": (lambda f: f.attrs.__setitem__("format_version", 9), "version 9"),
    "broken provenance": (lambda f: f.attrs.__setitem__("provenance", "[" * 10**4), "provenance"),
    "provenance of another kind": (lambda f: f.attrs.__setitem__("provenance", '{"sources": [1]}'), "provenance"),
    "a colour that is none": (write_to("canvas/10/input", (0, 0, 0), 11), "do not agree"),
    "a cell outside": (write_to("canvas/10/target", (0, 9, 9), 3), "do not agree"),
    "a size that lies": (write_to("canvas/10/input_height", 0, 9), "do not agree"),
    "a task that is not there": (write_to("canvas/10/task", 0, 7), "not within 0..6"),
    "a split that is none": (write_to("canvas/10/split", 0, 3), "not within 0..2"),
    "an oversize row that is not there": (write_to("canvas/10/oversize", 0, 2), "not within -1..1"),
    "colours that are no permutation": (write_to("tasks/colors", (0, 1), 0), "not permutations"),
    "a task named twice": (write_to("tasks/id", 1, b"small"), "names a task twice"),
    "a source that is not there": (write_to("tasks/source", 0, 1), "not within 0..0"),
    "another value in range": (write_to("tasks/families", 0, 12345), "its own digest"),
}


@pytest.mark.parametrize("name", SURPRISES)
def test_surprises_are_refused(content: Content, name: str) -> None:
    change, words = SURPRISES[name]
    with pytest.raises(SurpriseError) as caught:
        from_bytes(changed(content, change))
    assert words in str(caught.value)


def test_a_file_that_claims_more_than_memory_is_refused(content: Content) -> None:
    def claim(file: h5py.File) -> None:
        del file["canvas/30/input"]
        file.create_dataset("canvas/30/input", (900_000, 30, 30), "uint8", chunks=(64, 30, 30))

    with pytest.raises(SurpriseError, match="claims"):
        from_bytes(changed(content, claim))


def test_damage_is_never_silent_and_never_a_crash(content: Content) -> None:
    """One to eight flipped bytes, 100 times, past the sha256: refused, or the very same content."""
    raw = to_bytes(content)
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        damaged = bytearray(raw)
        for place in generator.integers(0, len(raw), generator.integers(1, 9)):
            damaged[place] ^= int(generator.integers(1, 256))
        try:
            assert_same(from_bytes(bytes(damaged)), content)
        except SurpriseError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_truncated_files_are_refused_in_one_line(content: Content, tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.h5"
    write_built(content, path)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(UserError, match="is damaged or was changed") as caught:
        read_content(path, "build it again")
    assert caught.value.exit_code == 1 and "\n" not in caught.value.message
    with pytest.raises(SurpriseError, match="HDF5"):
        from_bytes(path.read_bytes())


def test_missing_files_say_what_to_do(content: Content, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    for words in ("no data file at", "cannot be read"):
        with pytest.raises(UserError, match=words):
            read_content(path, "build it again")
        path.mkdir(exist_ok=True)
    other = tmp_path / "b.h5"
    write_built(content, other)
    digest_path(other).unlink()
    with pytest.raises(UserError, match=r"no readable b\.h5\.sha256; build it again"):
        read_content(other, "build it again")
