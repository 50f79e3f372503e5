"""What every test relies on: one torch thread (results do not depend on the machine), kernels left as they are found,
and ARC-AGI-1 built once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from triton_kernels import runtime

torch.set_num_threads(1)

# The files that take longest, the longest first: begun first, so that two processes end together. All else follows.
LONGEST = (
    "test_plateau", "test_interpreter", "test_torture_soak", "test_memory", "test_console_bench", "test_end_to_end",
    "test_aot", "test_torture_determinism", "test_resume", "test_torture_hostile", "test_torture_faults",
    "test_torture_locks", "test_console_hostile", "test_torture_kills", "test_replay", "test_torture_full_disk",
    "test_torture_damage", "test_verdict", "test_private_files", "test_step", "test_terminal_escapes",
    "test_sweep_command", "test_queue_commands", "test_gpu_all", "test_older_formats", "test_all_techniques",
    "test_torture_power", "test_torture_calls", "test_torture_fuzz",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest files first; within a file, and among the others, in the order that they have."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(autouse=True)
def kernels_mode() -> Iterator[None]:
    """`kernels.mode` belongs to the process, and a recipe that is built sets it: no test leaves it to the next."""
    with runtime.mode("auto"):
        yield


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """A command that runs in this process sets its umask, and a deterministic run torch: no test inherits either."""
    mask = os.umask(0o022)
    os.umask(mask)
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    os.umask(mask)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(autouse=True)
def no_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test obeys the settings of whoever runs it: a command for words on runs would get them all."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-settings"))
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    # Nor leaves anything there: a data file that was checked is remembered, by this run of the tests alone.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def arc1_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ARC-AGI-1 as `hrm data build arc1` makes it, once per session, in a temporary folder."""
    from hrm_core.data.build import build
    from hrm_core.data.file import digest_path, to_bytes
    from hrm_core.data.sources.recipes import read_source

    path = tmp_path_factory.mktemp("built") / "arc1.h5"
    raw = to_bytes(build([read_source("arc1")]))
    path.write_bytes(raw)
    digest_path(path).write_text(f"{hashlib.sha256(raw).hexdigest()}  {path.name}\n", encoding="ascii")
    return path
