"""How a step's slots are dealt to canvases and cut into pieces: arithmetic that training and the memory plan share.

Recipe room; free of torch. {side of canvas: training pairs} and a number of slots -> {side: slots}; a lane's slots and
the largest piece -> the pieces' sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise


def deal_slots(pairs_by_side: Mapping[int, int], num_slots: int) -> dict[int, int]:
    """{side: training pairs} -> {side: slots}: proportional, largest remainder, at least one each."""
    total = sum(pairs_by_side.values())
    exact = {side: num_slots * count / total for side, count in pairs_by_side.items()}
    slots = {side: max(1, int(share)) for side, share in exact.items()}
    order = sorted(exact, key=lambda side: (int(exact[side]) - exact[side], side))
    position = 0
    while sum(slots.values()) < num_slots:
        slots[order[position % len(order)]] += 1
        position += 1
    while sum(slots.values()) > num_slots:
        largest = max(slots, key=lambda side: (slots[side], side))
        if slots[largest] == 1:
            break  # more lanes than slots: one slot a lane is the least
        slots[largest] -= 1
    return slots


def piece_edges(num_slots: int, batch: int) -> list[tuple[int, int]]:
    """(first, one past the last) of the pieces in which a lane's slots pass through memory, as even as can be."""
    count = -(-num_slots // batch)
    edges = [round(i * num_slots / count) for i in range(count + 1)]
    return list(pairwise(edges))
