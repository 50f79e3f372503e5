"""Room `runs`: how long a run's heartbeat has been the same, without trust in anybody's clock.

For a reader that goes on reading: run folder + the counter in its status.json -> seconds since the counter was new.
Reading the status is in `reader.py`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final, final

FEW: Final = 256


@final
class HeartbeatWatch:
    """Remembers when each run's heartbeat counter was last seen to change; give the same one to every call.

    A first sight falls back on the file's time. Of runs that are removed or renamed nothing is kept for long.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, float]] = {}
        self._room = FEW

    def __len__(self) -> int:
        return len(self._seen)

    def age_s(self, folder: Path, heartbeat: int, file_age_s: float) -> float:
        """Seconds since `heartbeat` of the run was new."""
        now = time.monotonic()
        known = self._seen.get(folder)
        if known is None or known[0] != heartbeat:
            since = now - (file_age_s if known is None else 0.0)
            known = (heartbeat, since)
            if folder not in self._seen and len(self._seen) >= self._room:
                self._forget_the_removed()
            self._seen[folder] = known
        return now - known[1]

    def _forget_the_removed(self) -> None:
        """Looks at all folders, so seldom that it costs nothing: there are at most twice as many entries as runs."""
        self._seen = {folder: known for folder, known in self._seen.items() if os.path.lexists(folder)}
        self._room = max(2 * len(self._seen), FEW)
