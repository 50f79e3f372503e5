"""Where the model would have stopped: the first segment whose halting logit is above 0, and what that would cost.

Evaluation room: halt_logit (N, segments) and exactness after each segment (N, segments) -> how many samples would halt
first at each segment, the entropy of the decision, depth against error, the mean depth of each family, and how many
segments halting would save. Evaluation itself runs all segments. The threshold that saves most at equal accuracy is
chosen on the samples it is scored on, so it flatters a little. Where over 95 % never halt there is nothing to analyse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEVER_SHARE = 0.95
NUM_THRESHOLDS = 64

Bools = NDArray[np.bool_]
Logits = NDArray[np.float32]


def first_halts(halt_logit: Logits, threshold: float = 0.0) -> NDArray[np.int64]:
    """(N, segments) -> (N) index of the first segment with a logit above it; `segments` where there is none."""
    above = halt_logit > threshold
    first: NDArray[np.int64] = np.where(above.any(axis=1), above.argmax(axis=1), halt_logit.shape[1])
    return first


def halting_summary(halt_logit: Logits) -> dict[str, Any]:
    """`histogram`: number of samples that would halt first at segment 1, 2, ...; `never`: share (None without any)."""
    num_samples, num_segments = halt_logit.shape
    counts = np.bincount(first_halts(halt_logit), minlength=num_segments + 1)
    never = float(counts[num_segments] / num_samples) if num_samples else None
    return {"histogram": counts[:num_segments].tolist(), "never": never}


def entropy_by_segment(halt_logit: Logits) -> list[float]:
    """Mean entropy in nats of the decision to halt, p = sigmoid(logit), in each segment; at most ln 2."""
    size = np.abs(halt_logit.astype(np.float64))
    # H(p) = softplus(-|d|) + |d| (1 - sigmoid(|d|)), which does not overflow.
    entropy = np.log1p(np.exp(-size)) + size * np.exp(-size) / (1.0 + np.exp(-size))
    return [float(value) for value in entropy.mean(axis=0)]


def analyse_halting(halt_logit: Logits, exact: Bools, masks: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """The analyses of an evaluation row; bit b of a mask is family names[b]. Depths count from 1, never is one more.

    entropy; not_measurable: why there is nothing more, or None; depth_error: correlation of depth with being wrong at
    the end, exactness of the samples that halt at each depth; families: mean depth; saved: segments and exactness with
    halting at threshold 0; equal_accuracy: the threshold that saves most and is right at least as often.
    """
    num_samples, num_segments = halt_logit.shape
    found: dict[str, Any] = {
        "entropy": entropy_by_segment(halt_logit) if num_samples else [],
        "not_measurable": None,
        "depth_error": None,
        "families": None,
        "saved": None,
        "equal_accuracy": None,
    }
    first = first_halts(halt_logit)
    never = float((first == num_segments).mean()) if num_samples else 1.0
    if num_segments < 2 or never > NEVER_SHARE:
        reason = "there is only one segment" if num_segments < 2 else f"{100 * never:.1f} % of the samples never halt"
        return found | {"not_measurable": reason}
    depth = first + 1
    by_family = {}
    for bit, name in enumerate(names):
        members = depth[(masks >> bit) & 1 == 1]
        if len(members):
            by_family[name] = float(members.mean())
    return found | {
        "depth_error": _depth_error(depth, exact[:, -1]),
        "families": by_family,
        "saved": _saved(halt_logit, exact, 0.0),
        "equal_accuracy": _equal_accuracy(halt_logit, exact),
    }


def _depth_error(depth: NDArray[np.int64], exact: Bools) -> dict[str, Any]:
    varies = len(np.unique(depth)) > 1 and len(np.unique(exact)) > 1
    correlation = float(np.corrcoef(depth, ~exact)[0, 1]) if varies else None
    table = [[int(at), int((depth == at).sum()), float(exact[depth == at].mean())] for at in np.unique(depth)]
    return {"correlation": correlation, "by_depth": table}


def _saved(halt_logit: Logits, exact: Bools, threshold: float) -> dict[str, float]:
    """Halting where the logit is above the threshold: mean segments, the share saved, exactness beside that without."""
    num_samples, num_segments = halt_logit.shape
    at = np.minimum(first_halts(halt_logit, threshold), num_segments - 1)
    segments = float(at.mean()) + 1.0
    return {
        "threshold": float(threshold),
        "segments": segments,
        "share": 1.0 - segments / num_segments,
        "exact": float(exact[np.arange(num_samples), at].mean()),
        "exact_without": float(exact[:, -1].mean()),
    }


def _equal_accuracy(halt_logit: Logits, exact: Bools) -> dict[str, float] | None:
    """The threshold that saves most without a lower exactness; None if none saves anything."""
    finite = halt_logit[np.isfinite(halt_logit)]
    if not len(finite):
        return None
    thresholds = np.unique(np.quantile(finite, np.linspace(0.0, 1.0, NUM_THRESHOLDS)))
    tried = [_saved(halt_logit, exact, float(threshold)) for threshold in thresholds]
    equal = [one for one in tried if one["exact"] >= one["exact_without"] and one["share"] > 0.0]
    return max(equal, key=lambda one: one["share"]) if equal else None
