"""What happened while nobody looked: the last look, as the session kept it, against the runs of now. Pure functions.

`Session` and the runs -> `News`, those that need somebody first -> rows of Text. No score is written without what the
best trivial predictor gets. What is kept of a look is made by `looked`. Shown by the runs screen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from rich.text import Text

from hrm_console.rows.listing import RunLine
from hrm_console.session import Session
from hrm_console.theme import Palette
from hrm_console.words import STATE_MARKS, count, duration, finite, middle, plain, share, state_style

# A look that was a moment ago needs no digest.
AWAY_S = 120.0
# An expected end that moved by less than this, and by less than a tenth of what was left, is no news.
MOVED_S, MOVED_SHARE = 300.0, 0.1
MOST_ROWS = 60
# The order of the rows; word for one, word for several in the headline.
KINDS = {
    "failed": "failed", "lost": "lost", "stalled": "stalled", "finished": "finished", "stopped": "stopped",
    "best": "new best", "alarm": "new alarm", "paused": "paused", "begun": "begun", "ETA": "ETA moved", "gone": "gone",
}  # fmt: skip
TOLD = ("failed", "lost", "stalled", "finished", "stopped", "paused")
# What the reader itself raises for a state is told by the state.
STATE_ALARMS = frozenset({"lost", "stalled", "never_began"})
MARKS = {"alarm": "▲", "best": "★", "begun": "+", "ETA": "→", "gone": "-"}


@final
@dataclass(frozen=True)
class News:
    """What happened to a run: a kind of KINDS, the run, a phrase with the numbers, and how many of them it was."""

    kind: str
    run_id: str
    words: str
    count: int = 1


def looked(session: Session, runs: Sequence[RunLine], now_s: float) -> Session:
    """The session with this look at the runs in it."""
    return replace(
        session,
        seen_s=now_s,
        states={line.run_id: line.state for line in runs},
        bests={line.run_id: best for line in runs if (best := best_value(line)) is not None},
        alarms={line.run_id: [alarm.name for alarm in line.alarms] for line in runs if line.alarms},
        ends_s={line.run_id: now_s + line.eta_s for line in runs if line.eta_s is not None},
    )


def best_value(line: RunLine) -> float | None:
    """The score of the run's best validation."""
    return finite((line.best or {}).get("value"))


def is_away(session: Session, now_s: float) -> bool:
    """Whether the last look is long enough ago for a digest. A clock that was set back is no absence."""
    return session.seen_s is not None and now_s - session.seen_s > AWAY_S


def news_of(before: Session, runs: Sequence[RunLine], now_s: float) -> tuple[News, ...]:
    """What is different since the last look, in the order of KINDS; empty where there was none."""
    if before.seen_s is None:
        return ()
    found: list[News] = []
    for line in runs:
        found += _news_of_run(before, line, now_s)
    there = {line.run_id for line in runs}
    found += [News("gone", name, "removed, renamed or moved away") for name in before.states if name not in there]
    order = list(KINDS)
    return tuple(sorted(found, key=lambda news: order.index(news.kind)))


def _news_of_run(before: Session, line: RunLine, now_s: float) -> list[News]:
    name, then = line.run_id, before.states.get(line.run_id)
    found: list[News] = []
    best = _best_words(before, line, then is None)
    told = line.state != then and line.state in TOLD
    if told:
        begun = "begun meanwhile" if then is None else ""
        found.append(News(line.state, name, _joined(begun, _state_words(line), best)))
    elif then is None:
        found.append(News("begun", name, _joined(line.experiment, best)))
    elif best:
        found.append(News("best", name, best))
    known = set(before.alarms.get(name, ())) | STATE_ALARMS
    alarms = [alarm for alarm in line.alarms if alarm.name not in known]
    if alarms:
        said = ", ".join(alarm.name for alarm in alarms) + (f": {alarms[0].sentence}" if len(alarms) == 1 else "")
        found.append(News("alarm", name, said, len(alarms)))
    moved = _moved_words(before, line, now_s)
    if moved and not told:
        found.append(News("ETA", name, moved))
    return found


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _state_words(line: RunLine) -> str:
    at = "" if line.step is None else f"at step {count(line.step)}"
    if line.state in ("lost", "failed"):
        return f"{at}, r resumes it".removeprefix(", ")
    if line.exact is not None and line.trivial is not None:
        return f"exact {share(line.exact)} % (trivial {share(line.trivial)} %)"
    return at


def _best_words(before: Session, line: RunLine, is_new: bool) -> str:
    """A best that is higher than the one of the last look; without the trivial value no number is said."""
    now, then = best_value(line), before.bests.get(line.run_id)
    best = line.best or {}
    if now is None or (then is not None and now <= then) or (is_new and then is None and line.ended and not now):
        return ""
    metric = str(best.get("metric") or "exact")
    trivial = finite(best.get("trivial"))
    trivial = line.trivial if trivial is None and metric == "exact" else trivial
    at = f"at step {count(best.get('step'))}"
    if trivial is None:
        return f"best {metric} {at}"
    rise = f"{share(then)} → {share(now)}" if then is not None else share(now)
    return f"best {metric} {rise} % (trivial {share(trivial)} %) {at}"


def _moved_words(before: Session, line: RunLine, now_s: float) -> str:
    then = before.ends_s.get(line.run_id)
    if then is None or line.eta_s is None or before.seen_s is None:
        return ""
    later = now_s + line.eta_s - then
    if abs(later) < max(MOVED_S, MOVED_SHARE * (then - before.seen_s)):
        return ""
    return f"ends in {duration(line.eta_s)}, {duration(abs(later))} {'later' if later > 0 else 'sooner'} than it looked"


def headline(news: Sequence[News], away_s: float) -> str:
    """Everything in one line: how long, and how many of each kind."""
    counts = Counter[str]()
    for one in news:
        counts[one.kind] += one.count
    told = [f"{counts[kind]} {word}{_plural(kind, counts[kind])}" for kind, word in KINDS.items() if counts[kind]]
    return f"While you were away ({duration(away_s)}): " + (", ".join(told) if told else "nothing happened")


def _plural(kind: str, many: int) -> str:
    return "s" if many > 1 and kind in ("alarm", "best") else ""


def digest_rows(news: Sequence[News], palette: Palette, width: int) -> list[Text]:
    """A row for each: mark and kind, run, what happened."""
    name_width = max(12, min(36, width // 3, max((len(one.run_id) for one in news), default=12)))
    rows = []
    for one in news[:MOST_ROWS]:
        style = {"alarm": palette.warn, "best": palette.good, "begun": palette.accent}.get(one.kind)
        mark = MARKS.get(one.kind) or STATE_MARKS.get(one.kind, "·")
        row = Text(no_wrap=True, end="").append(f"  {mark} {one.kind:<9}", style or state_style(one.kind, palette))
        row.append_text(plain(f"{middle(one.run_id, name_width):<{name_width}}  ", palette.strong))
        row.append_text(plain(one.words, palette.text))
        row.truncate(width, overflow="ellipsis")
        rows.append(row)
    if len(news) > MOST_ROWS:
        rows.append(Text(f"  and {len(news) - MOST_ROWS} more", palette.muted, no_wrap=True, end=""))
    return rows
