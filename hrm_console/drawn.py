"""What Textual keeps of widgets that are gone, let go: a console that is open for days stays as small as it was.

Textual 8.2 remembers the two backgrounds of each widget by the object that also holds the widget's drawn lines, for the
last 1,024 widgets there were (`lru_cache` on a method of its `StylesCache`). Measured: five minutes of walking through
the screens took the console from 58 to 90 MiB; it holds what is on the screen alone with this.

Other memories are of styles, texts and places. They have a bound, 16,384 and 4,096, but it takes hours to reach it: a
style holds the place on the screen of a text that the mouse may select, so each new length of a text makes new ones.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from operator import attrgetter
from typing import Final

# More than this is let go; what is on a screen is a few hundred, and comes back in some milliseconds.
MANY: Final = 512
MEMORIES: Final = (
    ("textual.strip", "Strip.render_ansi"),
    ("rich.cells", "cached_cell_len"),
    ("textual.geometry", "Region.intersection"),
    ("textual.geometry", "Region.union"),
    ("textual.geometry", "Region.grow"),
    ("textual.geometry", "Region.shrink"),
    ("textual.geometry", "Region.translate"),
    ("textual.geometry", "Region.overlaps"),
    ("textual.css.scalar", "Scalar.resolve"),
)


def forget_drawn() -> None:
    """Empty that memory. It is filled again by what is in sight, two backgrounds a widget."""
    # A later Textual may have neither the module nor the memory; then there is nothing to let go.
    with suppress(ImportError, AttributeError):
        from textual._styles_cache import StylesCache

        StylesCache.get_inner_outer.cache_clear()


def forget_many() -> tuple[str, ...]:
    """Empty those memories of styles, texts and places that have grown beyond what a screen needs; their names."""
    forgotten = []
    for module, name in MEMORIES:
        with suppress(KeyError, AttributeError):
            memory = attrgetter(name)(sys.modules[module])
            if memory.cache_info().currsize > MANY:
                memory.cache_clear()
                forgotten.append(name)
    return tuple(forgotten)
