"""Times one runtime alone: `python -m hrm_core.benchmarks.deploy_child WORDS`, a child of `hrm bench deploy`.

Benchmarks room: a JSON object as the only argument -> a JSON object on stdout. Nothing but what the runtime itself
needs is imported, so that the peak of memory is its own: torch is not, where the file is ONNX.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WARM_UP = 3


def peak_bytes() -> int | None:
    """The most memory that this process has held (VmHWM); None where the system does not say.

    Not getrusage: its figure begins with the parent's at the moment of the fork.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return 1024 * int(found[0]) if found else None


def open_eager(asked: dict[str, Any]) -> Callable[[Any, Any], Any]:
    """The snapshot in the project's own code."""
    import torch

    from hrm_core.interchange.exported import original_answer
    from hrm_core.training.checkpoint import load_snapshot

    torch.set_num_threads(asked["threads"])
    model = load_snapshot(Path(asked["path"]), asked["weights"], device=asked["device"]).model

    def run(tokens: Any, row: Any) -> Any:
        here = (torch.from_numpy(tokens).to(asked["device"]), torch.from_numpy(row).to(asked["device"]))
        logits, halting = original_answer(model, *here, asked["side"], asked["segments"], asked["halting"])
        return logits.cpu().numpy(), halting.cpu().numpy()

    return run


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """Seconds to open, seconds of each call, peak bytes."""
    started = time.perf_counter()
    if asked["to"] == "eager":
        run = open_eager(asked)
    else:
        from hrm_core.interchange.run_exported import open_exported

        run = open_exported(Path(asked["path"]), asked["to"], asked["device"], asked["threads"])
    opened = time.perf_counter() - started
    random = np.random.default_rng(0)
    tokens = random.integers(0, 12, (asked["batch"], asked["side"] ** 2)).astype(np.int32)
    row = np.zeros(asked["batch"], np.int64)
    seconds = []
    for _ in range(WARM_UP + asked["calls"]):
        began = time.perf_counter()
        run(tokens, row)  # the answer is on the host when it returns
        seconds.append(time.perf_counter() - began)
    found: dict[str, Any] = {"open_s": opened, "seconds": seconds[WARM_UP:], "peak_bytes": peak_bytes()}
    if asked["device"] == "cuda":
        import torch

        found["device_bytes"] = torch.cuda.max_memory_allocated()
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))) + "\n")
