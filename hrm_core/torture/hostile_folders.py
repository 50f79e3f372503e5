"""Hostile folders: runs and snapshots that came from elsewhere. Ground -> cases, made on the spot.

Torture room. Each is a copy of the good run or of its checkpoint with one thing changed, and with a meta.json that says
that it is whole: who makes a file can make its sha256. Single files are in `hostile_files.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hrm_core.recipe.lay import build_recipe
from hrm_core.recipe.toml_io import to_toml
from hrm_core.runs.files import read_json_object
from hrm_core.runs.records import encode_row
from hrm_core.runs.snapshots import META_NAME, read_whole_meta
from hrm_core.torture.hostile import CONSOLE, Case, Ground, last_checkpoint, small_words
from hrm_core.torture.hostile_files import Make, pickled

DEEP = "[" * 50_000
PLACES = ("weights.safetensors", "evaluation.safetensors")


def seal(folder: Path, more: dict[str, Any] | None = None) -> None:
    """A meta.json that fits what lies in the folder now; what is no plain file gets a digest of nothing."""
    meta = read_whole_meta(folder) or {}
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.name != META_NAME and not (path.is_dir() and not path.is_symlink()):
            plain = path.is_file() and path.stat().st_size < 2**30 and not path.is_char_device()
            data = path.read_bytes() if plain else b""
            name = path.relative_to(folder).as_posix()
            files[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / META_NAME).unlink(missing_ok=True)
    (folder / META_NAME).write_bytes(encode_row({**meta, "files": files, **(more or {})}))


def snapshot_cases(ground: Ground, name: str, snapshot: Path, short: bool, refused: bool = True) -> Iterator[Case]:
    """Every command that takes a snapshot folder."""
    place = snapshot.parent
    start = ("--runs", str(place / "runs"), "--data", str(ground.data), "--name", "one", "--from", str(snapshot))
    readers: list[tuple[str, ...]] = [
        ("eval", str(snapshot), "--data", str(ground.data), "--fast", "--views", "1"),
        ("run", *small_words(*start)),
        ("archive", "show", str(snapshot), "--runs", str(place)),
        ("archive", "export", str(snapshot), str(place / "out.tar"), "--runs", str(place)),
        ("archive", "promote", str(snapshot), "kept", "--runs", str(place)),
    ]
    for words in readers[:2] if short else readers:
        yield Case(f"{name}, hrm {words[0]}", words, refused=refused and words[0] in ("eval", "run"))


def resume_words(ground: Ground, run: Path) -> tuple[str, ...]:
    """Words that take up a run of a folder."""
    return ("resume", "one", "--data", str(ground.data), "--runs", str(run.parent))


def run_cases(name: str, run: Path, ground: Ground, short: bool, more: bool = False) -> Iterator[Case]:
    """Every command that reads a run folder, two in the short form; all may make the best of it.

    more: also in the short form the console, which takes a second. `resume` may go on, and then it trains: seconds.
    """
    runs = ("--runs", str(run.parent))
    words: list[tuple[str, ...]] = [
        ("list", *runs),
        ("list", "--json", *runs),
        ("show", "one", *runs),
        ("tail", "one", *runs),
        ("tail", "one", "--log", *runs),
        ("archive", "list", *runs),
        ("archive", "show", "one@best", *runs),
        ("archive", "export", "one@last", str(run.parent / "out"), *runs),
        ("compare", "one", "one", *runs),
        ("diagnose", "one", *runs),
        ("eval", "one", "--data", str(ground.data), "--fast", "--views", "1", *runs),
        ("stop", "one", *runs),
        ("queue", "list", *runs),
    ]
    words = [words[2], words[9]] if short else words
    for some in words:
        yield Case(f"{name}, hrm {some[0]}", some, refused=False)
    if more or not short:
        yield Case(f"{name}, hrm-console --once", (*runs, "--once"), CONSOLE, refused=False)
    if not short:
        yield Case(f"{name}, hrm resume", resume_words(ground, run), refused=False)


# Snapshots ------------------------------------------------------------------------------------------------------------


def header(text: bytes, claimed: int | None = None, data: bytes = b"") -> bytes:
    """A safetensors file with this header; `claimed`: the length that it says the header has."""
    return (len(text) if claimed is None else claimed).to_bytes(8, "little") + text + data


def tensor(begin: int, end: int, shape: list[int], kind: str = "F32") -> dict[str, Any]:
    """An entry of a header."""
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


WEIGHTS: dict[str, bytes] = {
    "header of exabytes": header(b"{}", 2**62),
    "header of all memory": header(b"{}", 2**36),
    "overlapping": header(json.dumps({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}).encode(), None, b"\0" * 12),
    "beyond the end": header(json.dumps({"head": tensor(0, 2**40, [2**38])}).encode()),
    "overflowing shape": header(json.dumps({"head": tensor(0, 0, [2**63, 2**63, 2])}).encode()),
    "many sides": header(json.dumps({"head": tensor(0, 4, [1] * 100_000)}).encode(), None, b"\0" * 4),
    "no such type": header(json.dumps({"head": tensor(0, 4, [1], "PICKLE")}).encode(), None, b"\0" * 4),
    "deep": header(b'{"a":' * 50_000),
    "many names": header(json.dumps({f"n{number}": tensor(0, 0, [0]) for number in range(20_000)}).encode()),
    "empty": b"",
}


def weights(ground: Ground, short: bool) -> Iterator[Case]:
    """Files of weights that are none, in snapshots that are whole."""
    kinds = WEIGHTS | {f"pickle as {name}": data for name, data in pickled(ground).items()}
    for name, data in kinds.items():
        snapshot = ground.snapshot(f"weights-{name}")
        for place in PLACES:
            (snapshot / place).write_bytes(data)
        seal(snapshot)
        yield from snapshot_cases(ground, name, snapshot, short)
    snapshot = ground.snapshot("weights-dcp")
    for more in (".metadata", "data.pkl", "__0_0.distcp", "optimizer.pt", "state.safetensors"):
        (snapshot / more).write_bytes(ground.pickle)
    seal(snapshot)
    # Both may do what they do, and then they evaluate and train: not in the short form.
    for case in snapshot_cases(ground, "pickles beside good weights", snapshot, False, refused=False):
        if case.words[0] == "archive" or not short:
            yield case


def huge_recipe(identity: bool) -> str:
    """A recipe whose model, or whose table of identities, is a hundred gigabytes."""
    words = ["model.hidden=4096", "model.heads=64", "model.h_layers=32", "model.l_layers=32", "model.expansion=16"]
    if identity:
        words = ["identity.kind=per_augmentation", "augment.pool=1000", "model.hidden=2048", "model.heads=32"]
    return to_toml(build_recipe("EXP-00", words).recipe)


TEXTS: dict[str, tuple[str, Callable[[], str]]] = {
    "deep recipe": ("recipe.toml", lambda: "a = " + DEEP),
    "recipe of a number": ("recipe.toml", lambda: "a = " + "9" * 100_000),
    "recipe of a long key": ("recipe.toml", lambda: "k" * 10**6 + " = 1"),
    "recipe of megabytes": ("recipe.toml", lambda: "# " + "x" * 2**24),
    "recipe of other types": ("recipe.toml", lambda: "experiment = [1]\nmodel = 5\n"),
    "recipe of a model of terabytes": ("recipe.toml", lambda: huge_recipe(False)),
    "recipe of a table of terabytes": ("recipe.toml", lambda: huge_recipe(True)),
    "deep task names": ("tasks.json", lambda: DEEP),
    "task names that are none": ("tasks.json", lambda: '{"a": [NaN, ' + "9" * 10_000 + "]}"),
    "a million task names": ("tasks.json", lambda: json.dumps(["x"] * 10**6)),
    "task names with ..": ("tasks.json", lambda: json.dumps(["../../x", "\x1b]52;c;AA\x07", "/etc/passwd"])),
}


def texts(ground: Ground, short: bool) -> Iterator[Case]:
    """Recipes and task names that mean harm, in snapshots that are whole."""
    for name, (file, make) in TEXTS.items():
        snapshot = ground.snapshot(f"text-{name}")
        (snapshot / file).write_text(make(), encoding="utf-8")
        seal(snapshot)
        # A run that begins from other tasks' rows is right to begin.
        taken = file == "tasks.json" and name in ("a million task names", "task names with ..")
        for case in snapshot_cases(ground, name, snapshot, short):
            if not (taken and case.words[0] == "run"):
                yield case


def paths(ground: Ground, short: bool) -> Iterator[Case]:
    """Snapshots that name or lead to what is outside them."""
    secret = ground.outside / "secret.txt"
    for name in ("../../outside/secret.txt", str(secret), "..", "a/../../../outside/secret.txt", "\x00", "x" * 5000):
        snapshot = ground.snapshot(f"name-{zlib.crc32(name.encode()):08x}")
        files = (read_whole_meta(snapshot) or {}).get("files", {})
        digest = hashlib.sha256(secret.read_bytes()).hexdigest()
        seal(snapshot, {"files": {**files, name: {"sha256": digest, "bytes": secret.stat().st_size}}})
        yield from snapshot_cases(ground, f"meta.json names {name[:40]!r}", snapshot, short)
    for file in ("recipe.toml", "tasks.json", *PLACES):
        for name, make in (
            ("link to a secret", lambda path: path.symlink_to(secret)),
            ("link to a device", lambda path: path.symlink_to("/dev/zero")),
            ("pipe", os.mkfifo),
        ):
            snapshot = ground.snapshot(f"{name}-{file}")
            (snapshot / file).unlink()
            make(snapshot / file)
            seal(snapshot)
            yield from snapshot_cases(ground, f"{file} is a {name}", snapshot, short)
    snapshot = ground.snapshot("linked-folder")
    (snapshot / "more").symlink_to(ground.outside)
    seal(snapshot)
    yield from snapshot_cases(ground, "a folder in it is a link", snapshot, short)
    for name in ("../x", "/x", "a/b", "..", "-x", "a\nb", "x" * 300, "\u202ea"):
        words = small_words("--runs", str(ground.folder / "corpus" / "names"), "--data", str(ground.data))
        yield Case(f"a run called {name[:20]!r}", ("run", *words, f"--name={name}"))
        source = str(last_checkpoint(ground.good))
        yield Case(f"a snapshot called {name[:20]!r}", ("archive", "promote", source, "--", name))


# Runs -----------------------------------------------------------------------------------------------------------------

JSONS: dict[str, Callable[[], str]] = {
    "deep": lambda: '{"a":' * 50_000,
    "numbers": lambda: '{"format": 1, "global_step": ' + "9" * 4000 + ', "best": {"step": 1e999, "value": NaN}}',
    "many keys": lambda: json.dumps({f"k{number}": 0 for number in range(200_000)}),
    "other types": lambda: json.dumps(
        {key: [{}] for key in ("format", "experiment", "recipe", "state", "best", "data")}
    ),
    "a list": lambda: "[1, 2]",
    "no text": lambda: "\udcff\udcfe\x00",
}
STATES = ("run.json", "status.json", "launch.json", "policy.json", "result.json")
ROWS = ("metrics.jsonl", "evaluations.jsonl", "events.jsonl", "log.txt")


def states(ground: Ground, short: bool) -> Iterator[Case]:
    """What a run says of itself, and its queue, as bombs."""
    for name, make in JSONS.items():
        for file in STATES[:2] if short else STATES:
            run = ground.run(f"{file}-{name}")
            (run / file).write_bytes(make().encode("utf-8", "surrogateescape"))
            yield from run_cases(f"{file}: {name}", run, ground, short, name == "other types")
        run = ground.run(f"queue-{name}")
        for folder, file in (("queue", "queue.json"), ("sweeps", "one.json")):
            (run.parent / folder).mkdir()
            (run.parent / folder / file).write_bytes(make().encode("utf-8", "surrogateescape"))
        runs = ("--runs", str(run.parent))
        yield Case(f"queue.json: {name}, hrm queue list", ("queue", "list", *runs), refused=False)
        yield Case(f"queue.json: {name}, hrm remove", ("remove", "one", "--yes", *runs), refused=False)
        yield Case(f"sweep: {name}, hrm compare", ("compare", "--sweep", "one", *runs), refused=False)


def rows(ground: Ground, short: bool) -> Iterator[Case]:
    """Rows without an end, of other types and of depth; predictions that unpack a thousand times."""
    size = 2**22 if short else 2**25
    bad = [b"\x00" * 1000, b'{"step":' * 10_000, b'{"step": 1, "loss": "' + b"x" * 10**6 + b'"}', b'{"step": -1}']
    for file in ROWS[::2] if short else ROWS:
        run = ground.run(f"rows-{file}")
        with (run / file).open("ab") as out:
            out.write(b"\n".join([*bad, encode_row({"step": 10**18, "kind": [], "metrics": 5}), b"x" * size]))
        yield from run_cases(f"{file} with bombs", run, ground, short, file == "events.jsonl")
    run = ground.run("predictions")
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(b'{"task": "' + b"0" * (2**29 if not short else 2**26)) + packer.flush()
    member = zlib.compressobj(9, zlib.DEFLATED, 31)
    many = member.compress(b'{"task": [' + b"0," * 2**22 + b"0]}\n") + member.flush()
    for path in (run / "predictions").glob("*.jsonl.gz"):
        path.write_bytes(many * (5 if short else 40) + bomb)
    yield from run_cases("predictions that unpack to gigabytes", run, ground, short)
    run = ground.run("checkpoint")
    checkpoint = last_checkpoint(run)
    progress = {"deep": DEEP, "other": '{"plan": 5, "techniques": {"struck": {"a": []}}}', "none": "{}"}
    for name, text in list(progress.items())[: 1 if short else 3]:
        (checkpoint / "progress.json").write_text(text, encoding="utf-8")
        seal(checkpoint)
        yield Case(f"progress.json: {name}, hrm resume", resume_words(ground, run))


def links(ground: Ground, short: bool) -> Iterator[Case]:
    """A run whose files and folders are links, pipes and devices, or name places outside."""
    for name in ("control", "checkpoints", "archive", "predictions"):
        run = ground.run(f"link-{name}")
        (run / name).rename(run / f"{name}.kept")
        (run / name).symlink_to(ground.outside)
        yield from run_cases(f"{name} is a link", run, ground, short)
        if short and name == "control":
            yield Case("control is a link, hrm resume", resume_words(ground, run))
    for file in (*STATES, *ROWS, "recipe.toml", "output.txt", "lock"):
        for kind, make in (
            ("link", lambda path: path.symlink_to(ground.outside / "secret.json")),
            ("pipe", os.mkfifo),
            ("device", lambda path: path.symlink_to("/dev/zero")),
        )[: 1 if short else 3]:
            run = ground.run(f"{kind}-{file}")
            (run / file).unlink(missing_ok=True)
            make(run / file)
            yield from run_cases(f"{file} is a {kind}", run, ground, short)
    run = ground.run("output-detached")
    (run / "output.txt").symlink_to(ground.outside / "secret.txt")
    yield Case("output.txt is a link, hrm resume --detach", ("resume", "one", "--detach", "--runs", str(run.parent)))
    run = ground.run("linked-checkpoint")
    (run / "checkpoints" / "step-00000099").symlink_to(ground.outside / "step-00000010")
    yield from run_cases("a checkpoint is a link", run, ground, short)
    for place in (str(ground.outside / "secret.txt"), "/dev/zero", "../../outside/secret.txt", "\x00", "x" * 10_000):
        run = ground.run(f"data-{zlib.crc32(place.encode()):08x}")
        (run / "run.json").write_text(json.dumps((read_json_object(run / "run.json") or {}) | {"data": place}))
        words = ("resume", "one", "--runs", str(run.parent))
        yield Case(f"run.json names {place[:30]!r} as its data, hrm resume", words)
        yield Case(f"run.json names {place[:30]!r}, hrm eval", ("eval", "one", "--fast", *words[2:]), refused=False)


FOLDERS: dict[str, tuple[str, Make]] = {
    "weights": (
        f"snapshots with right digests and files of weights that are none ({len(WEIGHTS)} kinds, 5 pickles)",
        weights,
    ),
    "recipes and task names": (f"snapshots with right digests and bombs of TOML and JSON ({len(TEXTS)} kinds)", texts),
    "names and links in snapshots": ("`..`, absolute names, links and pipes in snapshots; names for runs", paths),
    "what a run says of itself": (
        f"bombs of JSON ({len(JSONS)} kinds) as {', '.join(STATES)}, queue and sweep",
        states,
    ),
    "rows and predictions": ("lines without an end, gzip bombs, progress of a checkpoint that is none", rows),
    "links in runs": ("files and folders of a run that are links, pipes, devices, or name places outside", links),
}
