"""Part `damage`: every file of a run, its data and the queue cut short or with one bit flipped, read by the program.

Torture room. A mutant is noticed (a sentence, the file counts as missing, or its damaged rows are passed over),
harmless (what is read equals the undamaged), or silently wrong, which must not be. A damaged newest checkpoint: a real
`hrm resume` goes back to the one before and ends with the same bytes. Loaders are those of the program, in process: a
checksum keeps every mutant away from HDF5. Mutants that get past checksums are in `fuzz.py`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, final

from hrm_core.data.file import digest_path, read_content
from hrm_core.errors import UserError
from hrm_core.recipe.experiments import EXPERIMENTS
from hrm_core.recipe.my_experiments import MyExperiment, find_mine, write_mine
from hrm_core.recipe.toml_io import read_recipe
from hrm_core.runs.files import Row as JsonRow
from hrm_core.runs.files import read_json_object
from hrm_core.runs.launch import start_process
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.predictions import (
    TASKS_NAME,
    prediction_names,
    read_prediction,
    read_predictions,
    read_tasks,
    steps_kept,
)
from hrm_core.runs.queue import add
from hrm_core.runs.queue_store import queue_path, read_queue
from hrm_core.runs.reader import evaluation_rows, events, metrics_rows, read_policy, read_status
from hrm_core.runs.snapshots import META_NAME, latest_good, newest_first
from hrm_core.runs.sweeps import Sweep, extend_sweep, read_sweep, sweep_path
from hrm_core.runs.writer import RunWriter
from hrm_core.runs.written import ROWS, look_through
from hrm_core.torture.bench import SMALL_RUN, Bench, Row
from hrm_core.torture.kills_compare import differences

CUTS, FLIPS = (300, 10), (600, 20)
NEWLINE: Final = ord("\n")
NOTICED, FEWER, HARMLESS, WRONG = "noticed", "rows passed over and said to be gone", "harmless", "silently wrong"
BAR: Final = "all noticed or harmless; nothing silently wrong"
REPLAY: Final = ("techniques.replay.window=20", "techniques.replay.share=0.25")
TIMEOUT_S: Final = 600.0


@final
@dataclass(frozen=True)
class Target:
    """One file. `read` gives what the program sees of it: rows where it is a list, else one value; None: missing.
    `said`: whether the program says that rows are gone; it is asked of files whose every row was synced, which are cut
    between all their rows too."""

    what: str
    path: Path
    read: Callable[[], object]
    said: Callable[[], bool] | None = None


def mutants(data: bytes, cuts: int, flips: int, random: Random, between_rows: int = 0) -> Iterator[bytes]:
    """The file cut at `cuts` different offsets (fewer for a shorter file), and at `between_rows` ends of lines, then
    with one of `flips` bits turned."""
    for end in sorted(random.sample(range(len(data)), min(cuts, len(data)))):
        yield data[:end]
    ends = [0, *(place + 1 for place, byte in enumerate(data[:-1]) if byte == NEWLINE)]
    for end in sorted(random.sample(ends, min(between_rows, len(ends)))):
        yield data[:end]
    for bit in sorted(random.sample(range(8 * len(data)), min(flips, 8 * len(data)))):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def judge(seen: object, whole: object) -> str:
    """What the program sees of a mutant against what it sees of the file."""
    if seen == whole:
        return HARMLESS
    if seen is None:
        return NOTICED
    if isinstance(seen, list) and isinstance(whole, list) and _is_part(seen, whole):
        return FEWER
    return WRONG


def _is_part(rows: list[object], whole: list[object]) -> bool:
    """Whether the rows are rows of the whole, in their order."""
    rest = iter(whole)
    return all(any(row == other for other in rest) for row in rows)


def trial(target: Target, cuts: int, flips: int, random: Random) -> tuple[Counter[str], str]:
    """Counts of the verdicts, and the first mutant that was silently wrong or made the reader fail. The file is back
    afterwards."""
    data = target.path.read_bytes()
    whole = target.read()
    assert whole is not None, target.what
    counts: Counter[str] = Counter()
    first = ""
    try:
        between = cuts if target.said is not None else 0
        for number, mutant in enumerate(mutants(data, cuts, flips, random, between)):
            target.path.write_bytes(mutant)
            verdict, words = _verdict(target, whole)
            counts[verdict] += 1
            if verdict == WRONG and not first:
                first = f"mutant {number}{words}"
    finally:
        target.path.write_bytes(data)
    return counts, first


def _verdict(target: Target, whole: object) -> tuple[str, str]:
    try:
        verdict = judge(target.read(), whole)
        if verdict == FEWER and target.said is not None and not target.said():
            return WRONG, " (rows are gone and nobody says so)"
        return verdict, ""
    except UserError:
        return NOTICED, ""
    except Exception as error:
        return WRONG, f" ({type(error).__name__}: {error!s:.80})"


def row_of(target: Target, counts: Counter[str], first: str) -> Row:
    """The row of a file."""
    bad = counts[WRONG]
    said = ", ".join(f"{counts[word]} {word}" for word in (NOTICED, FEWER, HARMLESS, WRONG) if counts[word])
    return Row(
        fault=f"damaged: {target.what}",
        how="cut short at offsets all over the file"
        + ("; cut between two rows" if target.said is not None else "")
        + "; one bit flipped",
        times=sum(counts.values()),
        bar=BAR,
        found=said + (f"; {first}" if first else ""),
        lost="nothing" if not bad else f"{bad} mutants were taken for good",
        passed=bad == 0 and sum(counts.values()) > 0,
    )


def checkpoint_targets(run: RunFolder) -> Iterator[Target]:
    """Each file of the newest checkpoint. What is seen is the checkpoint that a resume would choose."""
    newest = newest_first(run.checkpoints)[0]

    def chosen() -> object:
        good = latest_good(run.checkpoints)
        # The one before: the damage was noticed. None at all would be a fault too, so it is not None here.
        return {"good": "none"} if good is None else None if good != newest else {"good": good.name}

    for path in sorted(newest.iterdir()):
        yield Target(f"{path.name} of a checkpoint", path, chosen)


def run_targets(run: RunFolder) -> Iterator[Target]:
    """The files beside the checkpoints."""
    step = steps_kept(run)[-1]
    names = prediction_names(run, step)
    keys = {path: set(read_json_object(path) or ()) for path in (run.run_json, run.policy, run.result)}

    def known(path: Path, row: JsonRow | None) -> object:
        # A flip in the word "seal" leaves all values as they were, and a key more that nobody asks for.
        return None if row is None else {key: value for key, value in row.items() if key in keys[path]}

    def index() -> object:
        found = prediction_names(run, step)
        if any(read_prediction(run, step, name) is None for name in names[::40]):
            return {"a record": "lost"}
        return found or None

    def said() -> bool:
        lines = look_through(run)
        return bool(lines.missing or lines.damaged)

    yield Target("metrics.jsonl", run.metrics, lambda: metrics_rows(run), said)
    yield Target("evaluations.jsonl", run.evaluations, lambda: evaluation_rows(run), said)
    yield Target("events.jsonl", run.events, lambda: events(run), said)
    yield Target("status.json", run.status_json, lambda: read_status(run) or None)
    yield Target("run.json", run.run_json, lambda: known(run.run_json, read_json_object(run.run_json)))
    yield Target("recipe.toml of a run", run.recipe_toml, lambda: read_recipe(run.recipe_toml))
    yield Target("policy.json", run.policy, lambda: known(run.policy, read_policy(run) or None))
    yield Target("result.json", run.result, lambda: known(run.result, read_json_object(run.result)))
    yield Target("predictions", run.predictions / f"{step}.jsonl.gz", lambda: list(read_predictions(run, step)))
    yield Target("index of predictions", run.predictions / f"{step}.index.json", index)
    yield Target(TASKS_NAME, run.predictions / TASKS_NAME, lambda: list(read_tasks(run)))


def data_targets(folder: Path, data: Path) -> Iterator[Target]:
    """The built data and its digest, in a copy."""
    copy = folder / "data.h5"
    shutil.copyfile(data, copy)
    digest_path(copy).write_bytes(digest_path(data).read_bytes())
    yield Target("built data (HDF5)", copy, lambda: read_content(copy, "x")[1])
    yield Target("digest of built data", digest_path(copy), lambda: read_content(copy, "x")[1])


def queue_targets(folder: Path) -> Iterator[Target]:
    """The queue with three entries."""
    folder.mkdir()
    for number in range(3):
        add(folder, "EXP-00", ("preset=cpu", f"training.seed={number}"))
    yield Target("queue.json", queue_path(folder), lambda: read_queue(folder))


def started_targets(folder: Path) -> Iterator[Target]:
    """What console and command line keep to start runs from: a saved experiment, a sweep, how a run was launched."""
    mine = write_mine(MyExperiment("mine", "EXP-03", "cpu", ("training.batch=32",)), EXPERIMENTS, folder)
    sweep = extend_sweep(folder, Sweep("one", ("EXP-00", "EXP-03"), 2, 3, ("preset=cpu", "training.batch=32")))
    start_process([sys.executable, "-c", ""], folder / "run").wait(TIMEOUT_S)
    launched = RunFolder(folder / "run").launch_json
    keys = set(read_json_object(launched) or ())

    def experiment() -> object:
        found = find_mine("mine", EXPERIMENTS, folder)
        return None if found is None or found.note else found  # a note: it is used, and said to have changed

    def launch() -> object:
        row = read_json_object(launched)
        return None if row is None else {key: value for key, value in row.items() if key in keys}

    yield Target("saved experiment", mine, experiment)
    yield Target("file of a sweep", sweep_path(folder, sweep.name), lambda: read_sweep(folder, sweep.name))
    yield Target("launch.json", launched, launch)


def make_run(bench: Bench) -> RunFolder:
    """A real finished run with replay and three checkpoints, a policy beside it, and a result that counts all rows."""
    runs = bench.folder / "runs"
    words = bench.command("run", "demo", *SMALL_RUN, *REPLAY, "--name", "one")
    hrm(bench, [*words, "--runs", str(runs), "--data", str(bench.data)])
    run = RunFolder(runs / "one")
    with RunWriter.open(run) as writer:
        result = json.loads(max(run.path.glob("result.earlier-*.json")).read_text(encoding="utf-8"))
        writer.cut(result["step"])
        writer.policy({"lr_factor": 0.8, "nonfinite": 1, "recent": [12]})
        writer.result({key: value for key, value in result.items() if key not in ("seal", ROWS)})
    return run


def hrm(bench: Bench, command: list[str]) -> str:
    """Runs it to its end; gives what it said."""
    done = subprocess.run(
        command, env=bench.environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[3:5])} ended with {done.returncode}: {done.stderr[-300:]}")
    return done.stdout + done.stderr


def _damage(folder: Path, number: int) -> str:
    """Damages the newest checkpoint in one of three ways; says how."""
    state = folder / "state.safetensors"
    data = bytearray(state.read_bytes())
    if number % 3 == 0:
        data[len(data) // 2] ^= 1
        state.write_bytes(data)
        return "a bit of its state flipped"
    if number % 3 == 1:
        weights = folder / "weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        return "its weights cut short"
    (folder / META_NAME).unlink()
    return "its meta.json gone"


def resume_trial(bench: Bench, run: RunFolder, number: int) -> str:
    """A copy of the run without its end and with a damaged newest checkpoint, resumed; what differs, "" for nothing."""
    copy = RunFolder(run.path.with_name(f"resumed-{number}"))
    shutil.copytree(run.path, copy.path)
    copy.result.unlink()
    copy.policy.unlink()
    newest = newest_first(copy.checkpoints)[0]
    how = _damage(newest, number)
    before = len(events(copy))
    hrm(bench, [*bench.command("resume", copy.run_id), "--runs", str(run.path.parent), "--data", str(bench.data)])
    said = [event for event in events(copy)[before:] if event["kind"] == "checkpoint_damaged"]
    resumed = [event["step"] for event in events(copy)[before:] if event["kind"] == "resumed"]
    problems = []
    if [event["step"] for event in said] != [40]:
        problems.append(f"{len(said)} events of a damaged checkpoint")
    if resumed != [30]:
        problems.append(f"resumed at {resumed}")
    problems += differences(run, copy, range(5, 41, 5))
    return f"{how}: {', '.join(problems)}" if problems else ""


def resume_row(bench: Bench, run: RunFolder, times: int) -> Row:
    """A damaged newest checkpoint, resumed."""
    odd = [problem for number in range(times) if (problem := resume_trial(bench, run, number))]
    return Row(
        fault="the newest checkpoint is damaged, the run is resumed",
        how="a bit of its state flipped, its weights cut short",
        times=times,
        bar="an event names it; goes on from the one before; same weights, state, replay and rows as the undamaged run",
        found=f"{times - len(odd)} of {times} did" + (f"; {odd[0]}" if odd else ""),
        lost="nothing" if not odd else "; ".join(odd)[:300],
        passed=not odd,
    )


def trials(bench: Bench) -> Iterator[Row]:
    """A row for each file, then the resumes."""
    cuts, flips = bench.times(*CUTS), bench.times(*FLIPS)
    run = make_run(bench)
    targets = [*data_targets(bench.folder, bench.data), *checkpoint_targets(run), *run_targets(run)]
    targets += [*queue_targets(bench.folder / "queue"), *started_targets(bench.folder / "started")]
    for number, target in enumerate(targets):
        bench.say(target.what)
        yield row_of(target, *trial(target, cuts, flips, Random(f"{bench.seed}/{number}")))
    yield resume_row(bench, run, bench.times(2, 1))
