"""Errors that a user can act on. Each carries one clear sentence and its remedy; the CLI prints them without a traceback."""

from __future__ import annotations


class AuditError(Exception):
    """A problem that the user can solve.

    ``message`` says what is wrong in one sentence, ``remedy`` what to do about it.
    The command line prints both and exits with ``exit_code``.
    """

    exit_code = 2

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


class RefusedInput(AuditError):
    """Input that must not be used: wrong target, wrong layer, pickle weights, a checkpoint without its sidecar."""


class PromptMismatch(AuditError):
    """A model call re-rendered from its log does not hash to the token ids that generation used."""


class MissingExtra(AuditError):
    """An optional dependency is needed and absent; the remedy is its install command."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed.", f"Install it with: pip install 'nla-audit[{extra}]'")


class SandboxUnavailable(AuditError):
    """No sandbox can run on this machine, so nothing that a model asks to execute is executed."""
