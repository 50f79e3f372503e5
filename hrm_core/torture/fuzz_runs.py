"""Formats of a run folder and of the queue: rows, status, run.json and its like, the queue, predictions.

Torture room. All carry checksums: what is read is what was written, or nothing. A forged mutant has one made anew, as
somebody with a grudge would: of it only a value or a sentence may come, no traceback.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.files import parse_object, read_json_object, sealed
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import (
    prediction_names,
    read_prediction,
    read_predictions,
    read_tasks,
    record_name,
)
from hrm_core.runs.queue import add
from hrm_core.runs.queue_store import queue_path, read_queue
from hrm_core.runs.reader import best_trivial, evaluation_rows, events, lift_of, metrics_rows, read_policy, read_run
from hrm_core.runs.records import decode_row, encode_row
from hrm_core.runs.text import clean
from hrm_core.runs.writer import RunWriter
from hrm_core.torture.fuzz_reader import Reader, Wrong
from hrm_core.torture.mutate import change_value

SEAL = b'"seal":'
RECORDS = [
    {"task": f"t{task}", "test": 0, "exact": task == 1, "target": ["012"] * (task + 1), "halt": [0.5, -1.25]}
    for task in range(5)
]


def made_run(folder: Path) -> RunFolder:
    """A finished run with a few of everything, by the real writer."""
    recipe = build_recipe("demo").recipe
    about = {"experiment": "demo", "recipe": recipe.model_dump(mode="json"), "data": "/x/arc1.h5", "seed": 1}
    with RunWriter.create(folder / "one", to_toml(recipe), about) as writer:
        for kind in ("started", "best", "resumed", "stopped"):
            writer.event(kind, len(kind), parent=None, reason=f"{kind}: é")
        for step in range(5, 60, 5):
            writer.metrics({"step": step, "loss": 1.0 / step, "grad_norm": 2.5, "power_w": None, "words": "é\n"})
        for step, kind in ((20, "fast"), (40, "full")):
            scores = {"exact": 0.25, "cell_accuracy": 0.5}
            row = {"step": step, "kind": kind, "metrics": scores, "trivial": {"exact": {"pad": 0.0, "copy": 0.1}}}
            writer.evaluation({**row, "halting": {"histogram": [1, 2, 3]}, "families": {"crop": {"pairs": 5}}})
        writer.predictions(40, RECORDS)
        writer.tasks([{"id": record["task"], "families": ["crop"]} for record in RECORDS])
        alarm = {"name": "plateau", "sentence": "No gain.", "advice": "Wait."}
        best = {"metric": "exact", "value": 0.25, "step": 40}
        writer.status({"state": "running", "global_step": 55, "max_steps": 55, "alarms": [alarm], "best": best})
        writer.policy({"lr_factor": 0.8, "nonfinite": 1, "recent": [12]})
        writer.result({"state": "finished", "step": 55, "best": best})
        return writer.layout


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _forge_row(label: str, data: bytes, random: Random) -> bytes:
    """One row (or the status) changed in its values, with the crc of what it is now."""
    lines = data.split(b"\n")
    place = random.randrange(max(1, len(lines) - 1))
    row = change_value(decode_row(lines[place]), random)
    try:
        lines[place] = encode_row(row if isinstance(row, Mapping) else {"x": row})[:-1]
    except (TypeError, OverflowError, RecursionError):
        return data
    return b"\n".join(lines)


def rows(folder: Path) -> Reader:
    """metrics.jsonl, evaluations.jsonl, events.jsonl: every row that is read was written so."""
    run = made_run(folder)
    readers = {run.metrics.name: metrics_rows, run.evaluations.name: evaluation_rows, run.events.name: events}
    seeds = {name: (run.path / name).read_bytes() for name in readers}
    known = {name: [_text(row) for row in read(run)] for name, read in readers.items()}

    def read(label: str, data: bytes, forged: bool) -> bool:
        path = run.path / label
        path.write_bytes(data)
        try:
            found = readers[label](run)
            view = read_run(run)
        finally:
            path.write_bytes(seeds[label])
        lift_of(view.evaluation, "exact")
        best_trivial(view.evaluation, "exact")
        texts = [_text(row) for row in found]
        if not forged and (odd := set(texts) - set(known[label])):
            raise Wrong(f"a row that was not written: {min(odd)[:100]}")
        return texts == known[label]

    return Reader(list(seeds.items()), read, _forge_row)


def status(folder: Path) -> Reader:
    """status.json: as it was written, or none."""
    run = made_run(folder)
    whole = run.status_json.read_bytes()
    known = _text(read_run(run).status)

    def read(label: str, data: bytes, forged: bool) -> bool:
        run.status_json.write_bytes(data)
        run.result.unlink(missing_ok=True)
        view = read_run(run)
        words = [view.state, view.experiment, str(view.step), str(view.max_steps), *(str(row) for row in view.alarms)]
        if any(not isinstance(clean(word), str) for word in words):
            raise Wrong("no text")
        if not forged and view.status and _text(view.status) != known:
            raise Wrong("a status that was not written")
        return bool(view.status)

    return Reader([("status.json", whole)], read, _forge_row)


def _forge_sealed(label: str, data: bytes, random: Random) -> bytes:
    """An object changed in its values, with the seal of what it is now."""
    value = parse_object(data) or {}
    value.pop("seal", None)
    changed = change_value(value, random)
    try:
        text = json.dumps(changed if isinstance(changed, dict) and changed else {"x": changed}, indent=2)
    except (ValueError, RecursionError):
        return data
    return sealed(text.encode("ascii"))


def run_files(folder: Path) -> Reader:
    """run.json, result.json, policy.json: with a seal, as they were written or not at all."""
    run = made_run(folder)
    paths = {path.name: path for path in (run.run_json, run.result, run.policy)}
    seeds = {name: path.read_bytes() for name, path in paths.items()}
    known = {name: _text(read_json_object(path)) for name, path in paths.items()}

    def read(label: str, data: bytes, forged: bool) -> bool:
        paths[label].write_bytes(data)
        try:
            view = read_run(run)
            # The last event stands in for a result that cannot be read: what the file itself gives is asked for.
            result = read_json_object(run.result) and view.result
            found = {run.run_json.name: view.run_json, run.result.name: result}.get(label)
            if label == run.policy.name:
                found = read_policy(run)
        finally:
            paths[label].write_bytes(seeds[label])
        if found and not forged and SEAL in data and _text(found) != known[label]:
            raise Wrong(f"{label} that was not written")
        return bool(found)

    return Reader(list(seeds.items()), read, _forge_sealed)


def queues(folder: Path) -> Reader:
    """queue.json: as it was written, or a sentence."""
    add(folder, "EXP-00", ("preset=cpu", "training.max_steps=100"), name="first")
    data = folder / "arc1.h5"
    data.touch()
    add(folder, "demo", ("training.seed=3",), after="1", data=str(data))
    add(folder, "EXP-03", ("preset=cpu",), hold=True)
    path = queue_path(folder)
    whole, known = path.read_bytes(), read_queue(folder)

    def read(label: str, data: bytes, forged: bool) -> bool:
        path.write_bytes(data)
        queue = read_queue(folder)
        if not forged and SEAL in data and queue != known:
            raise Wrong("a queue that was not written")
        return bool(queue.in_order) and queue.place_of("1") != 0

    return Reader([("queue.json", whole)], read, _forge_sealed)


def predictions(folder: Path) -> Reader:
    """Records of a validation and of the tasks, and the index: every record that is read was written so."""
    run = made_run(folder)
    paths = {path.name: path for path in sorted(run.predictions.iterdir())}
    seeds = {name: path.read_bytes() for name, path in paths.items()}
    known = {record_name(record, 0): _text(record) for record in RECORDS}
    tasks = {_text(record) for record in read_tasks(run)}

    def forge(label: str, data: bytes, random: Random) -> bytes:
        if label.endswith(".json"):
            return _forge_sealed(label, data, random)
        text = json.dumps(change_value(RECORDS[random.randrange(len(RECORDS))], random)).encode("ascii")
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        return data + packer.compress(text) + packer.flush()

    def read(label: str, data: bytes, forged: bool) -> bool:
        paths[label].write_bytes(data)
        try:
            found = list(read_predictions(run, 40))
            named: dict[str, Any] = {name: read_prediction(run, 40, name) for name in known}
            names = prediction_names(run, 40)
            about = [_text(record) for record in read_tasks(run)]
        finally:
            paths[label].write_bytes(seeds[label])
        if forged:
            return True
        if {_text(record) for record in found} - set(known.values()) or set(about) - tasks:
            raise Wrong("a record that was not written")
        if any(row is not None and _text(row) != known[name] for name, row in named.items()):
            raise Wrong("another test's record")
        if SEAL in data and set(names) - set(known):
            raise Wrong("a test that was not there")
        return len(found) == len(known) and len(names) == len(known) and len(about) == len(tasks)

    return Reader(list(seeds.items()), read, forge)
