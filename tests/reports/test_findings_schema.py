"""The shipped schema of findings.json: it accepts what is written, names every key of it, and refuses what is wrong."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from audit.findings import schema
from reports.view import AuditTables

OPEN = {"target", "numbers", "controls", "outcomes", "failures", "families", "text_baselines", "bases", "awareness_basis", "at_threshold"}
"""Mappings whose keys are names of others, or figures of each finding's own."""


def unnamed(value: Any, rule: dict[str, Any], root: dict[str, Any], path: str = "") -> list[str]:
    """Keys of a value that its schema does not name, wherever the schema lists keys at all."""
    rule = root["$defs"][rule["$ref"].split("/")[-1]] if "$ref" in rule else rule
    for part in rule.get("allOf", ()):
        base = root["$defs"][part["$ref"].split("/")[-1]] if "$ref" in part else part
        rule = base | rule | {"properties": base.get("properties", {}) | rule.get("properties", {})}
    found = []
    for branch in ("anyOf", "oneOf"):
        if branch in rule and value is not None:
            rules = [one for one in rule[branch] if one.get("type") != "null"]
            return min((unnamed(value, one, root, path) for one in rules), key=len, default=[])
    if isinstance(value, dict) and "properties" in rule:
        for key, inner in value.items():
            if key not in rule["properties"]:
                found.append(f"{path}.{key}")
            elif key not in OPEN:
                found += unnamed(inner, rule["properties"][key], root, f"{path}.{key}")
    if isinstance(value, list) and isinstance(rule.get("items"), dict):
        for inner in value:
            found += unnamed(inner, rule["items"], root, f"{path}[]")
    return found


def test_it_accepts_what_is_written(tables: AuditTables) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(tables.findings, schema())


def test_every_key_that_is_written_is_named(tables: AuditTables) -> None:
    missing = sorted(set(unnamed(tables.findings, schema(), schema())))
    assert missing == []


def test_a_key_that_it_does_not_name_is_noticed(tables: AuditTables) -> None:
    found = copy.deepcopy(tables.findings)
    found["findings"][0]["surprise"] = 1
    assert unnamed(found, schema(), schema()) == [".findings[].surprise"]


WRONG = [
    ("findings", 0, {"level": "certain"}),
    ("findings", 0, {"claim": 3}),
    ("findings", 0, {"id": None}),
    ("scenarios", 0, {"nla_aware_rate": 1.5}),
    ("scenarios", 0, {"nla_aware_ci": [0.1]}),
    ("scenarios", 0, {"kind": "game"}),
]


@pytest.mark.parametrize(("part", "index", "change"), WRONG, ids=lambda value: str(value)[:30])
def test_it_refuses_what_is_wrong(tables: AuditTables, part: str, index: int, change: dict[str, Any]) -> None:
    found = copy.deepcopy(tables.findings)
    found[part][index] |= change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, schema())


@pytest.mark.parametrize("key", ["schema_version", "scenarios", "findings", "controls", "limits", "target"])
def test_nothing_that_the_contract_promises_may_be_absent(tables: AuditTables, key: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({name: value for name, value in tables.findings.items() if name != key}, schema())
