"""The one error that users see: a sentence or two that name the thing, the value and the remedy.

Every command ends with it as `error: ...` on stderr and its exit code: 2 for wrong use, 1 for a run or check that
failed. Free of torch.
"""

from __future__ import annotations

from typing import final


@final
class UserError(Exception):
    """Something that the user can put right. `exit_code` is 2 (wrong use) or 1 (failed)."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        assert exit_code in (1, 2)
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
