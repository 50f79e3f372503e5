"""The first line of a TOML file that we wrote: a comment with the digest of the rest.

Recipe room. text <-> text with that line. A flipped bit or a cut is noticed by it; so is an edit by hand, for which the
line says that it is to be taken out. What follows from a wrong one is the reader's affair: a run's recipe is refused
(`toml_io.py`), a saved experiment is used and said to have changed (`my_experiments.py`).
"""

from __future__ import annotations

import hashlib
from typing import Final

_HEAD: Final = "# digest "


def _line_of(rest: str) -> str:
    digest = hashlib.sha256(rest.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{_HEAD}{digest} of what follows; take this line out if you change it"


def with_digest(text: str) -> str:
    """The text with its digest before it."""
    return f"{_line_of(text)}\n{text}"


def is_as_written(text: str) -> bool:
    """Whether the text is what its first line says. One without such a line was written by a person, or long ago."""
    first, _, rest = text.partition("\n")
    return not first.startswith(_HEAD) or first == _line_of(rest)
