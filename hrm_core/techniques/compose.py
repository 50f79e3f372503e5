"""Which techniques a recipe has, as plugs in the order in which they act at every point.

Techniques room. The list is written by hand: a new technique is a new file, one field in
`recipe/techniques.py` and one line here. The trainer is not touched.
"""

from __future__ import annotations

from hrm_core.techniques.points import Bench, Plug, Techniques


def compose_techniques(bench: Bench) -> Techniques:
    """The plugs of the recipe's techniques; none where all are off."""
    chosen: list[Plug] = []
    techniques = Techniques(chosen, bench.timeline)
    techniques.attach(bench.lanes)
    return techniques
