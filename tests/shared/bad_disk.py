"""A disk that takes nothing: chosen functions raise what a full or read-only disk raises, for so many calls."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any, final

import pytest


@final
class BadDisk:
    """`break_at` a function by its dotted name: from its `after`-th call on it fails `times` times (-1: for ever)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.failed: list[str] = []
        self.mended = False

    def break_at(self, owner: Any, name: str, times: int = 1, after: int = 0, code: int = errno.ENOSPC) -> None:
        original: Callable[..., Any] = getattr(owner, name)
        calls = 0

        def fails(*words: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if not self.mended and after < calls and (times < 0 or calls <= after + times):
                self.failed.append(name)
                raise OSError(code, os.strerror(code), "somewhere")
            return original(*words, **named)

        self.monkeypatch.setattr(owner, name, fails)
