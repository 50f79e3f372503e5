"""What each technique's draws are for: numbers that keep one technique's hashes apart from another's.

Techniques room. Part of what makes a resumed run the same run, so a number is never reused. The streams' own purposes
(101 to 109), exploration's and the gradient noise's are beside the code that draws them.
"""

from __future__ import annotations

DROP_PATH = 501
SHARED_DROPOUT = 502
STATE_NOISE = 503
OBJECT_GRAPH = 504
BLANK_ROWS = 505
REPLAY_SLOT = 506
REPLAY_ENTRY = 507
FAMILY = 508
FAMILY_PAIR = 509
SHUFFLED_OBJECTS = 510
