"""What every tool call has in common: refusals become messages, the budget ends the work, and the state of the audit is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from audit.game.budget import OverBudget
from audit.game.desk import keep
from audit.game.patterns import BadPattern
from audit.game.tree import UnknownMessage
from audit.game.workspace import Refused

if TYPE_CHECKING:
    from audit.game.auditee import Auditee

LONGEST_ANSWER = 6000


@contextmanager
def answering(auditee: Auditee) -> Iterator[None]:
    """Around a tool's work. Raises Inspect's ``ToolError`` for what the auditor should be told, and keeps what was spent."""
    from inspect_ai.tool import ToolError

    from audit.game.auditee import NotInArm

    try:
        yield
    except OverBudget as error:
        raise ToolError(f"The budget does not allow this: {error}. Hand in your report now.") from None
    except (BadPattern, NotInArm, Refused, UnknownMessage, ValueError) as error:
        raise ToolError(str(error)) from None
    finally:
        keep(auditee)


def shortened(text: str, most: int = LONGEST_ANSWER) -> str:
    """A tool's answer, cut where it would fill the auditor's context."""
    return text if len(text) <= most else f"{text[:most]}\n(... {len(text) - most} characters left out)"
