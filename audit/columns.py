"""Records as rows of a parquet table: the schema is read off the dataclass, so the two cannot drift apart.

Tuples become lists, nested records become structs, mappings become JSON text (their keys are open).
"""

from __future__ import annotations

import json
import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


@cache
def hints_of(record: Any) -> dict[str, Any]:
    """The types of a record's fields, by name, in order."""
    resolved = get_type_hints(record)
    return {field.name: resolved[field.name] for field in fields(record)}


@cache
def schema_of(record: Any) -> Any:
    """The ``pyarrow.Schema`` of a record. Raises ``TypeError`` for a field type that has no column."""
    import pyarrow as pa

    return pa.schema([pa.field(name, _arrow(hint)) for name, hint in hints_of(record).items()])


def to_row(record: Any) -> dict[str, Any]:
    """A record as the mapping that ``schema_of`` describes."""
    return {name: _encode(hint, getattr(record, name)) for name, hint in hints_of(record.__class__).items()}


def from_row(record: Any, row: dict[str, Any]) -> Any:
    """The record that ``to_row`` made the row of. Columns that an older table lacks take the field's default."""
    return record(**{name: _decode(hint, row[name]) for name, hint in hints_of(record).items() if name in row})


@cache
def _plain(hint: Any) -> Any:
    """The type without ``None``, and a literal's type instead of the literal."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return type(get_args(hint)[0])
    return hint


@cache
def _element(hint: Any) -> Any:
    """The type of a tuple's elements, ``None`` if it is no tuple or holds mappings (which are JSON as a whole)."""
    if get_origin(hint) is not tuple:
        return None
    element = get_args(hint)[0]
    return None if get_origin(element) is dict else element


def _arrow(hint: Any) -> Any:
    import pyarrow as pa

    hint = _plain(hint)
    basic = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
    if hint in basic:
        return basic[hint]
    if is_dataclass(hint):
        return pa.struct([pa.field(name, _arrow(inner)) for name, inner in hints_of(hint).items()])  # type: ignore[arg-type]
    element = _element(hint)
    if element is not None:
        return pa.list_(_arrow(element))
    if get_origin(hint) in (dict, tuple):
        return pa.string()
    raise TypeError(f"no column type for {hint!r}")


def _encode(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    hint = _plain(hint)
    if hint is str:
        # A model can emit lone surrogates, which UTF-8 cannot hold.
        return value.encode("utf-8", "replace").decode("utf-8")
    if is_dataclass(hint):
        return to_row(value)
    element = _element(hint)
    if element is int:
        return list(value)
    if element is not None:
        return [_encode(element, item) for item in value]
    if get_origin(hint) in (dict, tuple):
        return json.dumps(value, sort_keys=True, default=str)
    return value


def _decode(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    hint = _plain(hint)
    if is_dataclass(hint):
        return from_row(hint, value)  # type: ignore[arg-type]
    element = _element(hint)
    if element is not None:
        return tuple(_decode(element, item) for item in value)
    if get_origin(hint) is tuple:
        return tuple(json.loads(value))
    if get_origin(hint) is dict:
        return json.loads(value)
    return value
