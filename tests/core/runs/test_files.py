"""Sealed JSON against every one-bit flip and every cut of it: noticed, or read as it was written, never otherwise."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from hrm_core.errors import UserError
from hrm_core.runs.atomic import write_json
from hrm_core.runs.files import MAX_DEPTH, last_bytes, parse_object, parse_sealed, read_json_object, sealed
from hrm_core.runs.predictions import write_predictions
from hrm_core.runs.queue import Queue
from hrm_core.runs.queue_store import change, queue_path
from hrm_core.runs.reader import read_policy, read_status
from hrm_core.runs.writer import RunWriter

VALUE = {"run_id": "a", "seal-like": '"seal": 1', "nested": {"x": [1, 2.5, None]}, "last": "}"}


@pytest.mark.parametrize("text", [json.dumps(VALUE, indent=2) + "\n", json.dumps(VALUE, separators=(",", ":"))])
def test_every_flip_and_every_cut_is_noticed_or_harmless(text: str) -> None:
    written = sealed(text.encode())
    assert json.loads(written)["nested"] == VALUE["nested"]
    assert parse_sealed(written) == VALUE
    refused = 0
    for bit in range(8 * len(written)):
        damaged = bytearray(written)
        damaged[bit // 8] ^= 1 << bit % 8
        row = parse_sealed(bytes(damaged))
        refused += row is None
        # A flip in the word "seal" leaves an object that has no seal, and one key more.
        assert row is None or {key: row[key] for key in row if key in VALUE} == VALUE, damaged
    assert refused > 7 * len(written)
    assert all(parse_sealed(written[:end]) in (None, VALUE) for end in range(len(written)))


def test_what_has_no_seal_is_taken_as_it_is(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", VALUE)
    assert read_json_object(tmp_path / "a.json") == VALUE
    (tmp_path / "b.json").write_text("[1]")
    assert read_json_object(tmp_path / "b.json") is None
    assert parse_sealed(b'{"seal": 3}') is None


def test_what_steers_a_run_or_the_queue_is_sealed(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "one", "x = 1\n", {"experiment": "demo"}) as writer:
        writer.policy({"lr_factor": 0.8})
        writer.result({"state": "finished"})
        layout = writer.layout
        write_predictions(layout, 1, [{"task": "t", "test": 0}])
    change(tmp_path, lambda queue: Queue(queue.entries, 7))
    index = layout.predictions / "1.index.json"
    for path in (layout.run_json, layout.policy, layout.result, queue_path(tmp_path), index):
        whole = path.read_bytes()
        assert b'"seal":' in whole, path
        assert read_json_object(path), path
        path.write_bytes(whole.replace(b"1", b"3", 1) if b"1" in whole else whole.replace(b"7", b"5"))
        assert read_json_object(path) is None, path


def test_damaged_counts_of_bad_steps_are_said_not_forgotten(tmp_path: Path) -> None:
    assert read_policy(tmp_path) == {}
    write_json(tmp_path / "policy.json", {"lr_factor": 0.8}, seal=True)
    assert read_policy(tmp_path) == {"lr_factor": 0.8}
    text = (tmp_path / "policy.json").read_text()
    (tmp_path / "policy.json").write_text(text.replace("0.8", "0.9"))
    with pytest.raises(UserError, match=r"policy\.json is damaged") as caught:
        read_policy(tmp_path)
    assert caught.value.exit_code == 1
    (tmp_path / "policy.json").write_text(text[:10])
    with pytest.raises(UserError, match="damaged"):
        read_policy(tmp_path)


def nested(depth: int, last: str = "1") -> str:
    """An object in which `depth` of lists and objects lie in one another."""
    return '{"a": ' * (depth - 1) + "[" + last + "]" + "}" * (depth - 1)


def test_what_lies_too_deep_is_no_object_and_what_is_only_long_is_one() -> None:
    assert parse_object(nested(MAX_DEPTH).encode()) is not None
    for depth in (MAX_DEPTH + 1, 900, 100_000):
        assert parse_object(nested(depth).encode()) is None
    words = json.dumps({"text": "[{" * 1000, "rows": [[], {}] * 1000}).encode()
    assert parse_object(words) == json.loads(words)


def test_a_status_of_any_depth_is_no_status_for_a_run_that_is_taken_up(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "a", "x = 1\n", {}) as run:
        path = run.layout.status_json
    body = b'{"state":"running","deep":' + nested(900).encode() + b"}"
    path.write_bytes(body[:-1] + b',"crc":' + str(zlib.crc32(body)).encode() + b"}\n")
    with RunWriter.open(tmp_path / "a"):
        assert read_status(tmp_path / "a")["state"] == "starting"


def test_the_end_of_a_file_is_read_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert last_bytes(path, 3) == b""
    path.write_bytes(b"12345")
    assert last_bytes(path, 3) == b"345"
    assert last_bytes(path, 9) == b"12345"
    assert last_bytes(tmp_path, 3) == b""
