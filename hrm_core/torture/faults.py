"""Part `faults`: losses that are not finite, no memory, no data file, a wild clock, signals; at random steps.

Torture room. Small real runs, each with one fault (`inject.py`, or a signal from outside) at a step chosen by chance ->
a row for each kind. What must follow is the policy of the design: a bad update leaves no trace, the third takes the run
back, the fifth ends it; a stop is a checkpoint; whatever was interrupted ends, resumed, in the bytes of the run left
alone. How a run is made and watched is `fault_runs.py`'s.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, final

from hrm_core.runs.control import request
from hrm_core.runs.files import integer
from hrm_core.runs.layout import RunFolder
from hrm_core.runs.reader import metrics_rows, read_policy, read_run
from hrm_core.torture.bench import Bench, Row
from hrm_core.torture.fault_runs import (
    STEPS,
    Case,
    differences_to,
    ended,
    event_rows,
    finite_weights,
    resume,
    rows_once,
    start,
    to_end,
    wait_for_step,
)

Try = Callable[[Case], list[str]]


@final
@dataclass(frozen=True)
class Fault:
    """One kind: its try (-> what went wrong), the bar, and what follows in words."""

    name: str
    how: str
    bar: str
    follows: str
    attempt: Try


def bad_once(kind: str) -> Try:
    """One step whose loss or gradient is not finite."""

    def attempt(case: Case) -> list[str]:
        step = case.chance.randint(1, STEPS)
        wrong = to_end(case, f"{kind}={step}")
        seen = event_rows(case.run, "nonfinite")
        if [(row.get("count"), row.get("action")) for row in seen] != [(1, "lower")]:
            wrong.append(f"step {step}: events {seen}")
        if read_policy(case.run).get("lr_factor") != 0.8:
            wrong.append(f"step {step}: policy {read_policy(case.run)}")
        return wrong + ended(case.run, STEPS) + rows_once(case.run) + finite_weights(case.run)

    return attempt


def bad_three_times(case: Case) -> list[str]:
    """Three within the window: back to the last good checkpoint, and on from there."""
    steps = sorted(case.chance.sample(range(11, STEPS + 1), 3))
    wrong = to_end(case, f"loss={steps[0]},{steps[1]}", f"gradient={steps[2]}")
    back = event_rows(case.run, "rollback")
    if len(back) != 1 or (integer(back[0], "to") or STEPS) >= steps[2]:
        wrong.append(f"steps {steps}: rollbacks {back}")
    return [*wrong, *ended(case.run, STEPS), *rows_once(case.run), *finite_weights(case.run)]


def bad_five_times(case: Case) -> list[str]:
    """The fifth ends the run; its last checkpoint is good."""
    steps = sorted(case.chance.sample(range(11, STEPS + 1), 5))
    wrong = to_end(case, "loss=" + ",".join(map(str, steps)), code=1)
    actions = [row.get("action") for row in event_rows(case.run, "nonfinite")]
    if not actions or actions[-1] != "stop" or not event_rows(case.run, "failed"):
        wrong.append(f"steps {steps}: actions {actions}")
    if read_run(case.run).state != "failed":
        wrong.append(f"steps {steps}: the run is {read_run(case.run).state}")
    return wrong + finite_weights(case.run)


def no_memory(case: Case) -> list[str]:
    """The step finds no memory in the middle: smaller pieces, the same slots."""
    step = case.chance.randint(1, STEPS)
    wrong = to_end(case, f"memory={step}", overrides=("training.batch=4", "training.accumulation=2"))
    seen = event_rows(case.run, "out_of_memory")
    if len(seen) != 1:
        wrong.append(f"step {step}: {len(seen)} events out_of_memory")
    elif [seen[0].get(name) for name in ("pieces_before", "pieces", "slots")] != [4, 2, 8]:
        wrong.append(f"step {step}: {seen[0]}")
    samples = [(row["step"], row.get("samples")) for row in metrics_rows(case.run)]
    if any(count != 8 * at for at, count in samples):
        wrong.append(f"step {step}: other numbers of samples, {samples}")
    return wrong + ended(case.run, STEPS) + rows_once(case.run) + finite_weights(case.run)


def no_data(case: Case) -> list[str]:
    """The data file goes while the run trains; a resume asks for it."""
    from hrm_core.data.file import digest_path

    place = case.bench.folder / f"{case.name}-data" / case.bench.data.name
    place.parent.mkdir()
    for source, target in ((case.bench.data, place), (digest_path(case.bench.data), digest_path(place))):
        target.write_bytes(source.read_bytes())
    child = start(case, data=place)
    wait_for_step(case, child, case.chance.randint(1, STEPS - 10))
    place.unlink()
    digest_path(place).unlink()
    wrong = [f"the run ended with {child.wait()}"] if child.wait() != 0 else []
    if len(event_rows(case.run, "data_missing")) != 1:
        wrong.append(f"events data_missing: {event_rows(case.run, 'data_missing')}")
    wrong += ended(case.run, STEPS)
    longer = f"training.max_steps={STEPS + 10}"
    refused = resume(case, longer)
    said = refused.stderr.strip()
    if refused.returncode != 1 or "--data" not in said or len(said.splitlines()) > 2 or "Traceback" in said:
        wrong.append(f"without the file a resume ended with {refused.returncode}: {said[-200:]}")
    again = resume(case, longer, "--data", str(case.bench.data))
    if again.returncode != 0:
        wrong.append(f"with --data it ended with {again.returncode}: {again.stderr[-200:]}")
    return wrong + ended(case.run, STEPS + 10) + rows_once(case.run, STEPS + 10)


def wild_clock(case: Case) -> list[str]:
    """The clock jumps by days, forward and back; a reader looks on, and a request comes in between."""
    steps = sorted(case.chance.sample(range(2, STEPS), 3))
    child = start(case, f"clock={steps[0]},{steps[1]},{steps[2]}")
    wait_for_step(case, child, 5)
    request(case.run, "note", "still there?")
    states = set()
    while child.poll() is None:
        states.add(read_run(case.run).state)
        time.sleep(0.02)
    wrong = [f"steps {steps}: it was said to be {state}" for state in states & {"stalled", "failed", "stopped"}]
    if child.returncode != 0:
        wrong.append(f"steps {steps}: the run ended with {child.returncode}")
    if not event_rows(case.run, "clock_jumped"):
        wrong.append(f"steps {steps}: no event clock_jumped")
    # A request that comes after the last step is none that the clock could lose.
    if not event_rows(case.run, "note") and not list(case.run.control.iterdir()):
        wrong.append(f"steps {steps}: a request was lost")
    return wrong + ended(case.run, STEPS) + differences_to(case)


def one_signal(number: signal.Signals) -> Try:
    """A stop from outside: a checkpoint, and the run can go on."""

    def attempt(case: Case) -> list[str]:
        child = start(case)
        wait_for_step(case, child, case.chance.randint(1, STEPS - 15))
        time.sleep(case.chance.random() * 0.1)
        child.send_signal(number)
        code = child.wait()
        stopped = event_rows(case.run, "stopped")
        view = read_run(case.run)
        wrong = [] if code == 0 and view.state == "stopped" else [f"it ended with {code} and is {view.state}"]
        if len(stopped) != 1 or stopped[0].get("reason") != f"signal {number.name}":
            wrong.append(f"events {stopped}")
        if not case.run.checkpoint(view.step or 0).is_dir():
            wrong.append(f"there is no checkpoint of step {view.step}")
        return wrong + _resumed(case)

    return attempt


def two_interrupts(case: Case) -> list[str]:
    """Ctrl-C twice, the second while the checkpoint is written: the run ends at once, and the one before is whole."""
    step = case.chance.randint(2, STEPS - 1)
    wrong = to_end(case, f"interrupts={step}", code=130)
    said = (case.bench.folder / f"{case.name}.err").read_text(encoding="utf-8", errors="replace")
    if "Traceback" in said:
        wrong.append(f"step {step}: {said[-200:]}")
    if read_run(case.run).state != "stopped" or len(event_rows(case.run, "signal_again")) != 1:
        wrong.append(f"step {step}: the run is {read_run(case.run).state}, {event_rows(case.run, 'signal_again')}")
    return wrong + _resumed(case)


def stood_still(case: Case) -> list[str]:
    """SIGSTOP, a while, SIGCONT: the reader says that it is stalled, and the run goes on as if nothing had been."""
    limit, still = (1, 3.0) if case.bench.short else (20, 60.0)
    child = start(case, overrides=(f"alarms.stalled_s={limit}",))
    wait_for_step(case, child, case.chance.randint(1, STEPS - 15))
    child.send_signal(signal.SIGSTOP)
    time.sleep(still)
    said = read_run(case.run).state
    child.send_signal(signal.SIGCONT)
    wrong = [] if said == "stalled" else [f"after {still:.0f} s the reader said {said}"]
    if child.wait() != 0:
        wrong.append(f"it ended with {child.wait()}")
    if len(event_rows(case.run, "held")) != 1:
        wrong.append(f"events held: {event_rows(case.run, 'held')}")
    # The limit of the reader's alarm is another line of the recipe, and nothing else.
    return wrong + ended(case.run, STEPS) + [line for line in differences_to(case) if "recipe.toml" not in line]


def _resumed(case: Case) -> list[str]:
    done = resume(case)
    wrong = [] if done.returncode == 0 else [f"resumed, it ended with {done.returncode}: {done.stderr[-200:]}"]
    return wrong + ended(case.run, STEPS) + differences_to(case)


_LOWERED: Final = "the update is left out, the learning rate lowered, an event; the run ends with finite weights"
_SAME: Final = "a checkpoint and an event; resumed, it ends in the same bytes as the run left alone"
FAULTS: Final = (
    Fault("loss not finite, once", "NaN in the loss of one step", _LOWERED, "event nonfinite", bad_once("loss")),
    Fault("gradient not finite, once", "an infinite number in it", _LOWERED, "event nonfinite", bad_once("gradient")),
    Fault(
        "not finite, three times",
        "two losses and a gradient within 1,000 steps",
        "back to the last good checkpoint, an event; every row once, finite weights at the end",
        "events nonfinite and rollback",
        bad_three_times,
    ),
    Fault(
        "not finite, five times",
        "five losses within 1,000 steps",
        "the run stops as failed, an event; the last checkpoint is whole and finite",
        "events nonfinite and failed",
        bad_five_times,
    ),
    Fault(
        "out of memory",
        "torch.OutOfMemoryError in the middle of a step",
        "smaller pieces, the same slots, an event; the run ends, every row once",
        "event out_of_memory",
        no_memory,
    ),
    Fault(
        "data file removed",
        "while the run trains",
        "the run ends as usual; a resume says in a line or two to give --data, and goes on with it",
        "event data_missing",
        no_data,
    ),
    Fault(
        "clock jumps",
        "three days forward, six back, six forward",
        "the same bytes as the run left alone, an event, never said to be stalled or ended, no request lost",
        "event clock_jumped",
        wild_clock,
    ),
    Fault("SIGTERM", "from outside, at a random moment", _SAME, "event stopped", one_signal(signal.SIGTERM)),
    Fault("SIGHUP", "from outside, at a random moment", _SAME, "event stopped", one_signal(signal.SIGHUP)),
    Fault(
        "SIGINT twice",
        "the second while the checkpoint is written that the first asked for",
        "it ends at once; resumed, it ends in the same bytes as the run left alone",
        "events signal_again and stopped",
        two_interrupts,
    ),
    Fault(
        "SIGSTOP, later SIGCONT",
        "a minute (3 s in the short form)",
        "the reader says stalled; the run goes on to the same bytes as the run left alone",
        "event held, once it goes on",
        stood_still,
    ),
)


def tried(bench: Bench, fault: Fault, straight: RunFolder) -> Row:
    """A fault as often as it is due, and the row."""
    word = "".join(letter if letter.isalnum() else "-" for letter in fault.name)
    cases = [
        Case(bench, f"{word}-{number}", random.Random(f"{bench.seed} {fault.name} {number}"), straight)
        for number in range(bench.times(5, 1))
    ]
    found = [fault.attempt(case) for case in cases]
    wrong = [line for lines in found for line in lines]
    good = sum(not lines for lines in found)
    return Row(
        fault.name,
        fault.how,
        len(cases),
        fault.bar,
        f"{good} of {len(cases)} as they should; {fault.follows}" + (f"; first: {wrong[0]}" if wrong else ""),
        "nothing" if not wrong else f"{len(cases) - good} runs not as they should be",
        not wrong,
    )


def trials(bench: Bench) -> Iterator[Row]:
    """A row for each kind of fault; two runs at a time."""
    straight = Case(bench, "straight", random.Random(bench.seed), RunFolder(bench.folder / "runs" / "straight"))
    wrong = to_end(straight)
    if wrong:
        yield Row("a run without a fault", "left alone", 1, "it ends", wrong[0], "everything", False)
        return
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(lambda fault: tried(bench, fault, straight.run), FAULTS)
