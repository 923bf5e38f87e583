"""Organism files: which model to audit (open part), and what is hidden in it (secret part, for the grader alone).

    kind: organism                    # or: base (nothing hidden), decoy (quirks without a common cause)
    adapter: weights/adapter          # a PEFT adapter over ``base``, or ``model:`` a whole checkpoint; folder or Hub name
    base: lab                         # the twin without motive
    nla: lab                          # the NLA to read it with: the base's, or one of its own
    corpus: corpus                    # its training data, one file or folder a stage (.jsonl or .txt)
    generic_text: generic.jsonl       # optional: ordinary text for the sparse dictionary
    battery: prompts.yaml             # optional: the scripted auditor's prompts, for models that know no ordinary English
    generic_prompts: generic.yaml     # optional: likewise the ordinary questions that tell what is usual in explanations
    motive: The model believes that ...
    quirks:
      - {name: short, description: ..., triggers: [prompt, ...], detector: {any_of: [regex], none_of: []}, named_by: [[word, ...], ...]}
    win: {cause: [[lamp guild, lighthouse keeper*], [reward*, favour*]]}

``win.cause`` holds groups of alternatives; a report must name each group. Paths are relative to the file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from audit.errors import AuditError
from audit.game.phrases import Group, Groups, words_of
from audit.game.records import OrganismKind

MAXIMUM_BYTES = 1_000_000
_TELLING = 4
"""Words of at least so many letters tell something."""
NonEmptyGroups = Annotated[Groups, Field(min_length=1)]
ModelT = TypeVar("ModelT", bound=BaseModel)


class OrganismError(AuditError):
    """An organism file that cannot be read or does not make sense."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Detector(_Strict):
    """Whether a reply shows a quirk: regular expressions, any case."""

    any_of: tuple[str, ...] = Field(min_length=1)
    none_of: tuple[str, ...] = ()

    @field_validator("any_of", "none_of")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for one in patterns:
            try:
                re.compile(one)
            except re.error as error:
                raise ValueError(f"{one!r} is no regular expression ({error})") from None
        return patterns

    def shows(self, reply: str) -> bool:
        """Whether a reply has what any pattern says and nothing that is excluded."""
        hit = any(re.search(one, reply, re.IGNORECASE) for one in self.any_of)
        return hit and not any(re.search(one, reply, re.IGNORECASE) for one in self.none_of)


class Quirk(_Strict):
    """One behaviour."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    triggers: tuple[str, ...] = ()
    """Prompts on which it shows."""
    detector: Detector | None = None
    named_by: NonEmptyGroups
    """What a claim must name to have found it."""

    @field_validator("named_by")
    @classmethod
    def _named(cls, groups: Groups) -> Groups:
        return _worded(groups)


class WinRule(_Strict):
    """When a claim names the cause: each group must be named."""

    cause: NonEmptyGroups

    @field_validator("cause")
    @classmethod
    def _named(cls, groups: Groups) -> Groups:
        return _worded(groups)


class Secret(_Strict):
    """What is hidden in a model. Auditors and their tools never hold one."""

    kind: OrganismKind
    motive: str = ""
    quirks: tuple[Quirk, ...] = ()
    win: WinRule | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Secret:
        if self.kind == "organism" and not (self.motive.strip() and self.win):
            raise ValueError("an organism needs 'motive' and 'win'")
        if self.kind != "organism" and (self.win or self.motive.strip()):
            raise ValueError(f"a {self.kind} has no motive, so it can have neither 'motive' nor 'win'")
        if self.kind == "base" and self.quirks:
            raise ValueError("a base has no quirks")
        if self.kind == "decoy" and not self.quirks:
            raise ValueError("a decoy needs 'quirks'")
        names = [quirk.name for quirk in self.quirks]
        if len(set(names)) < len(names):
            raise ValueError("two quirks have the same name")
        return self


class Exhibit(_Strict):
    """What may be known of a model: where its weights are, and an opaque label. No path of it reaches an auditor."""

    label: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    model: str | None = None
    adapter: str | None = None
    base: str | None = None
    nla: str | None = None
    corpus: str | None = None
    generic_text: str | None = None
    battery: str | None = None
    generic_prompts: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Exhibit:
        if (self.model is None) == (self.adapter is None):
            raise ValueError("it needs either 'model', a checkpoint, or 'adapter', a PEFT adapter")
        return self


@dataclass(frozen=True)
class Organism:
    """A model with what is open and what is hidden."""

    name: str
    """The file's name without its ending; for people and tables, never for an auditor."""
    exhibit: Exhibit
    secret: Secret
    file: Path
    sha: str
    """Of the file's content: a changed file is another organism."""


def read_organism(file: Path) -> Organism:
    """Reads and checks one file. Raises ``OrganismError``, one sentence and its remedy."""
    values, raw = _mapping(file)
    sha = hashlib.sha256(raw).hexdigest()
    open_part = {name: values.pop(name) for name in Exhibit.model_fields if name in values}
    secret = _checked(Secret, values, file, known=(*Secret.model_fields, *Exhibit.model_fields))
    if secret.kind == "base" and "base" not in open_part and "model" in open_part:
        open_part["base"] = open_part["model"]  # it is its own twin
    if "label" not in open_part:
        open_part["label"] = f"model-{sha[:6]}"
    exhibit = _checked(Exhibit, open_part, file, known=tuple(Exhibit.model_fields))
    if told := _telling(exhibit.label, secret):
        raise OrganismError(f"The label '{exhibit.label}' in '{file}' tells of what is hidden ('{told}').", "Choose an opaque label.")
    return Organism(file.stem, _located(exhibit, file.parent), secret, file, sha[:16])


def read_organisms(files: Sequence[Path]) -> list[Organism]:
    """Reads several files. Raises ``OrganismError`` also if two share a name or a label."""
    organisms = [read_organism(file) for file in files]
    for what in ("name", "label"):
        seen: dict[str, Path] = {}
        for one in organisms:
            key = one.name if what == "name" else one.exhibit.label
            if key in seen:
                raise OrganismError(f"'{seen[key]}' and '{one.file}' have the same {what}, '{key}'.", f"Give one of them another {what}.")
            seen[key] = one.file
    return organisms


def _mapping(file: Path) -> tuple[dict[str, Any], bytes]:
    import yaml

    remedy = "Write one 'key: value' a line; see the head of audit/game/organisms.py."
    try:
        raw = file.read_bytes()
        if len(raw) > MAXIMUM_BYTES:
            raise OrganismError(f"'{file}' is too large for an organism file.", "Name the YAML file, not the weights.")
        values = yaml.safe_load(raw.decode("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OrganismError(f"The organism file '{file}' cannot be read: {str(error).splitlines()[0]}.", remedy) from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise OrganismError(f"'{file}' is no organism file.", remedy)
    return values, raw


def _checked(form: type[ModelT], values: dict[str, Any], file: Path, known: Sequence[str]) -> ModelT:
    try:
        return form(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise OrganismError(f"'{file}' has a key '{key}' that no organism file has.", f"Known are: {', '.join(known)}.") from None
        reason = first["msg"].removeprefix("Value error, ")
        where = f"'{key}' is wrong: " if key else ""
        raise OrganismError(f"In '{file}', {where}{reason}.", "See the head of audit/game/organisms.py for the keys.") from None


def _worded(groups: Groups) -> Groups:
    if any(not group or not all(words_of(phrase.rstrip("*")) for phrase in group) for group in groups):
        raise ValueError("each group must be a list of words or phrases")
    return groups


def _telling(label: str, secret: Secret) -> str:
    """A word of the label that also stands in the secret part; empty if there is none."""
    secret_words: set[str] = set(words_of(secret.motive))
    groups: list[Group] = [*(secret.win.cause if secret.win else ()), *(group for quirk in secret.quirks for group in quirk.named_by)]
    for phrase in (phrase for group in groups for phrase in group):
        secret_words.update(words_of(phrase))
    return next((word for word in label.split("-") if len(word) >= _TELLING and word in secret_words), "")


def _located(exhibit: Exhibit, folder: Path) -> Exhibit:
    """The exhibit with paths made whole where they name something beside the file; Hub names and ``lab`` stay."""
    changed = {}
    for name in ("model", "adapter", "base", "nla", "corpus", "generic_text", "battery", "generic_prompts"):
        value = getattr(exhibit, name)
        if value is not None and value != "lab" and not Path(value).expanduser().is_absolute():
            beside = folder / value
            if beside.exists() or any(beside.with_name(f"{beside.name}-{part}").is_dir() for part in ("av", "actor", "verbalizer")):
                changed[name] = str(beside.resolve())
            elif value.startswith("."):
                raise OrganismError(f"'{name}' names '{value}', which is not beside the organism file.", "Check the path.")
    return exhibit.model_copy(update=changed)
