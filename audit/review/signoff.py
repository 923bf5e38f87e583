"""A sign-off: who decided what about which findings. It names their SHA-256, and holds for no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.errors import AuditError, RefusedInput
from audit.stages.names import FINDINGS_FILE
from audit.store import Store, content_hash

SIGN_OFFS_FILE = "sign-offs.json"
"""In an audit's folder: a list, the oldest first; a later sign-off replaces none."""
LARGEST = 1_000_000
"""Bytes that a file of one may have."""


class SignOff(BaseModel):
    """One reviewer's decision. Field names are the keys of ``sign-off.json``, which the report's form exports."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    schema_version: Literal[1]
    findings_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    name: str = Field(min_length=1, max_length=200)
    role: str = Field(min_length=1, max_length=200)
    decision: Literal["approve", "approve_with_conditions", "reject"]
    conditions: str = Field(default="", max_length=20_000)
    """Must be there for an approval with conditions."""
    notes: str = Field(default="", max_length=20_000)
    signed: str = Field(pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$")
    """Date, or date and time, as ISO 8601 writes it."""

    @model_validator(mode="after")
    def _conditions_are_named(self) -> SignOff:
        if self.decision == "approve_with_conditions" and not self.conditions:
            raise ValueError("an approval with conditions must name them in 'conditions'")
        return self


def read_sign_off(file: Path) -> SignOff:
    """The sign-off in a file. Raises ``AuditError`` if it cannot be read or is none."""
    try:
        if file.stat().st_size > LARGEST:
            raise RefusedInput(f"'{file}' is too large for a sign-off.", "Export it from the report's form.")
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise AuditError(f"'{file}' cannot be read: {error.strerror}.", "Name the sign-off.json that the report exported.") from None
    except (ValueError, RecursionError):
        raise RefusedInput(
            f"'{file}' is no JSON.", "Export it from the report's form, or fill in the JSON that the report shows."
        ) from None
    try:
        return SignOff.model_validate(found)
    except ValidationError as error:
        raise RefusedInput(f"'{file}' is no sign-off: {_first_problem(error)}.", "Export it from the report's form.") from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    said = problem["msg"].removeprefix("Value error, ")
    return f"'{where}': {said}" if where else said


def keep_sign_off(store: Store, sign_off: SignOff) -> None:
    """Adds a sign-off to the audit's folder; the same one a second time changes nothing.

    Raises ``AuditError`` if the audit has no findings, or the sign-off is one of other findings.
    """
    digest = content_hash(store.path(FINDINGS_FILE))
    if digest is None:
        raise AuditError(f"The audit in '{store.folder}' has no findings to sign.", "Finish it first: repeat the command that began it.")
    if sign_off.findings_sha256 != digest:
        raise RefusedInput(
            f"This is a sign-off of other findings: it names the SHA-256 {sign_off.findings_sha256[:12]}..., and those in "
            f"'{store.folder}' have {digest[:12]}....",
            "Sign the report of these findings.",
        )
    known, added = sign_offs(store), sign_off.model_dump(mode="json")
    if added not in known:
        store.write_json(SIGN_OFFS_FILE, [*known, added])


def sign_offs(store: Store) -> list[dict[str, Any]]:
    """The sign-offs in an audit's folder, the oldest first, valid or not. Raises ``AuditError`` if their file is damaged."""
    if not store.path(SIGN_OFFS_FILE).is_file():
        return []
    try:
        return [SignOff.model_validate(row).model_dump(mode="json") for row in store.read_json(SIGN_OFFS_FILE)]
    except (ValueError, TypeError):
        file = store.path(SIGN_OFFS_FILE)
        raise AuditError(f"'{file}' is damaged.", "Move it away, and add the sign-offs again with --sign-off FILE.") from None
