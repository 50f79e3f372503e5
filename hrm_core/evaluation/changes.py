"""Which tests a run has gained and lost between two evaluations.

Evaluation room: the prediction records of two evaluations -> names of tests, `task:test`. Two scores that are equal can
hide as many lost tests as gained ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hrm_core.runs.predictions import record_name

Records = Iterable[Mapping[str, Any]]


def exactness(records: Records) -> dict[str, bool]:
    """Test -> whether its answer was exact."""
    return {record_name(record, line): record.get("exact") is True for line, record in enumerate(records)}


def changes(before: Records, now: Records) -> dict[str, list[str] | None]:
    """`lost`: right before and wrong now, `gained`: the reverse, of the tests in both; None where there were none."""
    earlier, later = exactness(before), exactness(now)
    common = [test for test in later if test in earlier]
    if not common:
        return {"lost": None, "gained": None}
    return {
        "lost": [test for test in common if earlier[test] and not later[test]],
        "gained": [test for test in common if later[test] and not earlier[test]],
    }
