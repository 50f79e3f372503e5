"""The process in which mutants of one format are read.

Torture room. `python -m hrm_core.torture.fuzz_child FORMAT FOLDER SEED FIRST END`: for each number from FIRST to before
END one line on stdout: the number, what came of it (accepted, refused, crash, hang, wrong) and, for the last three,
what. Memory is bounded by RLIMIT_AS and the time of a case by a timer of processor time; who starts it (`fuzz.py`) sees
where it died.
"""

from __future__ import annotations

import resource
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from types import FrameType
from typing import Final, final

from hrm_core.errors import UserError
from hrm_core.torture.fuzz_formats import FORMATS
from hrm_core.torture.fuzz_reader import Reader, Wrong, tidy
from hrm_core.torture.mutate import mutate

CASE_CPU_S: Final = 5.0
CONTROL_EVERY: Final = 50


@final
class _Hang(BaseException):
    """A case has used its time; no `except Exception` of a reader may swallow it."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Hang


def outcome(read: Callable[[], bool]) -> tuple[str, str]:
    """What came of one reading, and the words for what must not be."""
    signal.setitimer(signal.ITIMER_PROF, CASE_CPU_S)
    try:
        answer = "accepted" if read() else "refused", ""
    except UserError as refused:
        untidy = tidy(refused.message)
        answer = ("crash", f"message: {untidy}") if untidy else ("refused", "")
    except Wrong as wrong:
        answer = "wrong", str(wrong)
    except _Hang:
        answer = "hang", f"more than {CASE_CPU_S:g} s"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        answer = "crash", f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error!s:.100}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    return answer


def case(reader: Reader, kind: str, seed: int, number: int) -> tuple[str, bytes, bool]:
    """The mutant of a number: label of its file, bytes, and whether its checksum was made anew.

    Every fiftieth is the file as it is, which has to be accepted: a reader that refuses all would look good otherwise.
    """
    if number % CONTROL_EVERY == 0:
        return (*reader.seeds[number // CONTROL_EVERY % len(reader.seeds)], False)
    random = Random(f"{seed}/{number}")
    label, data = random.choice(reader.seeds)
    other = random.choice([found for found in reader.seeds if found[0] == label])[1]
    if reader.forge is not None and random.random() < 0.25:
        return label, reader.forge(label, data, random), True
    return label, mutate(data, other, kind, random), False


def main(words: list[str]) -> None:
    """Reads the mutants and prints a line for each."""
    name, folder, (seed, first, end) = words[0], Path(words[1]), map(int, words[2:5])
    form = FORMATS[name]
    folder.mkdir(parents=True, exist_ok=True)
    reader = form.prepare(folder)
    limit = int(form.memory_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, _stop)
    for number in range(first, end):
        label, data, forged = case(reader, form.kind, seed, number)
        code, said = outcome(partial(reader.read, label, data, forged))
        if number % CONTROL_EVERY == 0 and code == "refused":
            code, said = "wrong", "the file as it was written is refused"
        line = f"{number} {code} {label if said else ''} {said}".replace("\n", " ")
        sys.stdout.write(line.encode("ascii", "backslashreplace").decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
