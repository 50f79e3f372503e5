"""What Textual keeps of widgets that are gone, let go: a console that is open for days stays as small as it was.

Textual 8.2 remembers the two backgrounds of each widget by the object that also holds the widget's drawn lines, for the
last 1,024 widgets there were (`lru_cache` on a method of its `StylesCache`). Measured: five minutes of walking through
the screens took the console from 58 to 90 MiB; it holds what is on the screen alone with this.
"""

from __future__ import annotations

from contextlib import suppress


def forget_drawn() -> None:
    """Empty that memory. It is filled again by what is in sight, two backgrounds a widget."""
    # A later Textual may have neither the module nor the memory; then there is nothing to let go.
    with suppress(ImportError, AttributeError):
        from textual._styles_cache import StylesCache

        StylesCache.get_inner_outer.cache_clear()
