"""Room `runs`: which run began from which snapshot.

`Listing` and one of its entries -> the snapshots before it, the first one first, and the runs that began from its own
run, with theirs. A parent is written in run.json by run, step and the sha256 of its weights; a run that was renamed is
found by that digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from hrm_core.runs.archive import RAW_WEIGHTS, Entry, Listing, Parent


@final
@dataclass(frozen=True)
class Branch:
    """A run, the step of the parent's snapshot that it began from, and the runs that began from it."""

    run_id: str
    experiment: str
    from_step: int | None
    branches: tuple[Branch, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "run": self.run_id,
            "experiment": self.experiment,
            "from_step": self.from_step,
            "children": [branch.to_json() for branch in self.branches],
        }


@final
@dataclass(frozen=True)
class Lineage:
    """ancestors: the snapshots that led here, the first one first; branches: the runs begun from the entry's run."""

    ancestors: tuple[Parent, ...] = ()
    branches: tuple[Branch, ...] = ()


def lineage_of(listing: Listing, entry: Entry) -> Lineage:
    """Where an entry comes from and what came of its run. Circles in what the files say end the walk."""
    named = _Named(listing)
    ancestors: list[Parent] = []
    parent, seen = entry.origin.parent, {entry.run_id}
    while parent is not None:
        run = named.run_of(parent)
        ancestors.insert(0, Parent(run, parent.step, parent.digest))
        if run in seen:
            break
        seen.add(run)
        origin = listing.origins.get(run)
        parent = None if origin is None else origin.parent
    return Lineage(tuple(ancestors), _branches(listing, named, entry.run_id, frozenset({entry.run_id})))


@final
class _Named:
    """Names of the runs that parents mean."""

    def __init__(self, listing: Listing) -> None:
        self.origins = listing.origins
        self.by_digest = {
            digest: entry.run_id
            for entry in listing.entries
            for digest in (entry.digest(), entry.digest(RAW_WEIGHTS))
            if digest
        }

    def run_of(self, parent: Parent) -> str:
        """The run's name now: as written, or where its weights are found if there is no run of that name any more."""
        return parent.run if parent.run in self.origins else self.by_digest.get(parent.digest, parent.run)


def _branches(listing: Listing, named: _Named, run_id: str, above: frozenset[str]) -> tuple[Branch, ...]:
    found = []
    for child, origin in sorted(listing.origins.items()):
        if origin.parent is None or child in above or named.run_of(origin.parent) != run_id:
            continue
        deeper = _branches(listing, named, child, above | {child})
        found.append(Branch(child, origin.experiment, origin.parent.step, deeper))
    return tuple(found)
