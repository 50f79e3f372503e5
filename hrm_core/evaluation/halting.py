"""Where the model would have stopped: the first segment whose halting logit is above 0.

Evaluation room: halt_logit (N, segments) -> how many samples would halt first at each segment, and the share that never
would. Evaluation itself runs all segments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def first_halts(halt_logit: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N, segments) -> (N) index of the first segment with a logit above 0; `segments` where there is none."""
    above = halt_logit > 0
    first: NDArray[np.int64] = np.where(above.any(axis=1), above.argmax(axis=1), halt_logit.shape[1])
    return first


def halting_summary(halt_logit: NDArray[np.float32]) -> dict[str, Any]:
    """`histogram`: number of samples that would halt first at segment 1, 2, ...; `never`: share (None without any)."""
    num_samples, num_segments = halt_logit.shape
    counts = np.bincount(first_halts(halt_logit), minlength=num_segments + 1)
    never = float(counts[num_segments] / num_samples) if num_samples else None
    return {"histogram": counts[:num_segments].tolist(), "never": never}
