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
