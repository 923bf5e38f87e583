"""Audits and comparisons in which every text of a model, a user or a file name comes from the test: ``say(place, number)``.

One row for each of the hostile texts in every list, so that one page holds every text in every place that comes more than once; what
comes once a page has functions of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hostile import HOSTILE
from wide import frame

from audit.records import ClaimEvidence, Evidence, Explanation, ModelCall, Neighbour, Site, Span, Transcript, Verdict
from reports.view import AuditTables

SCANNER = "awareness.classifier"
HARMLESS = tuple(f"b{number:03d}" for number in range(len(HOSTILE)))
"""In their places: each tells which of them it is."""


class Speaker:
    """The text for a place by its name, and which one of it. Each place begins elsewhere: what stands side by side differs."""

    def __init__(self, texts: Sequence[str] = HOSTILE) -> None:
        self.texts, self.places, self.count = texts, dict[str, int](), len(texts)

    def __call__(self, place: str, number: int) -> str:
        turn = self.places.setdefault(place, len(self.places))
        return self.texts[(number + 37 * turn) % self.count]


def kept(text: str) -> str:
    """As tables hold it: they have no lone surrogates."""
    return text.encode("utf-8", "replace").decode()


def transcript_of(say: Speaker, number: int) -> str:
    """The name of a transcript."""
    return kept(say("transcript", number))


@contextmanager
def room() -> Iterator[None]:
    """Lets lists of the report be as long as they come, so that one page can hold all."""
    limits = ("evidence.PIECES", "view.PIECES", "evidence.ALARMS", "scanned.THEMES", "scanned.QUOTES", "provenance.LISTED",
              "comparison.THEMES", "markdown.FINDINGS", "markdown.LIMITS")  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name in limits:
            patch.setattr(f"reports.{name}", 10**6)
        yield


def tables_of(say: Speaker) -> AuditTables:
    """A whole audit."""
    rows: dict[type, list[Any]] = {record: [] for record in (Transcript, Site, Explanation, Verdict, Evidence)}
    for number in range(say.count):
        for record in (_transcript(say, number), *_token(say, number)):
            rows[type(record)].append(record)
    frames = [frame(record, found) for record, found in rows.items()]
    singles = single_of(say, 0)
    return replace(
        AuditTables(_manifest(say), singles.findings | _findings(say), *frames), findings_sha256="a" * 64, sign_offs=_sign_offs(say),
        agreement=_agreement(say),
    )  # fmt: skip


def single_of(say: Speaker, number: int) -> AuditTables:
    """What stands once in a report: names of target, NLA, scanner and grader, configuration, command, folders."""

    def one(place: str) -> str:
        return say(place, number)

    findings = {
        "created": one("created"), "target": {"name": one("target")}, "nla": {"name": one("nla"), "layer": one("layer")},
        "awareness": {"scanner": one("awareness scanner"), "threshold": one("threshold"), "uncertainty": {"promised": one("promised")}},
        "grader": {"model": one("grader"), "scanners": ["x"]},
        "scanner_rates": [{"scanner": "x", "name": one("graded scenario"), "explanations": {"rate": 0.5}}],
        "motives": {"audit": {"folder": one("reference folder")}, "why_not": None, "themes": [{"theme": one("theme")}]},
        "baselines": {"text": {"chosen": one("chosen"), "classifiers": [{"name": one("classifier"), "missing": one("no classifier")}]},
                      "probe": {"name": "probe", "missing": one("no probe")}},
        "scenarios": [{"name": one("only scenario"), "kind": "evaluation", "variant": one("only variant")}],
        "nla_quality": {"fve_baseline": one("baseline")},
        "ground_truth": {"averaged_over": [one("averaged")], "baselines": {one("instead"): {}}},
        "controls": {"noise_floor": None},
    }  # fmt: skip
    manifest = {
        "created": one("begun"), "command": one("command"), "config": {one("option"): one("value"), "sites": one("sites")},
        "stages": {"scenarios": {"status": one("stage status"), "reason": one("stage reason")}},
    }  # fmt: skip
    agreement = {"rows": 1, "scanner": one("judge"), "reviewers": [{"reviewer": one("first reviewer"), "labels": 1}]}
    return AuditTables(
        manifest, findings, None, None, None, None, findings_sha256="a" * 64, agreement=agreement,
        sign_offs=[{"name": one("signer"), "decision": "approve", "findings_sha256": one("digest")}],
    )  # fmt: skip


def _transcript(say: Speaker, number: int) -> Transcript:
    own = kept(say("assistant", number))
    call = ModelCall(
        0, "event", "message", (0,), tuple(range(4)), (Span(0, 4, "response"),), f"{say('thinking', number)}\n\n{own}",
        (f"call {say('tool call', number)}", json.dumps({"name": say("tool", number), "arguments": {say("argument", number): "x"}})),
    )  # fmt: skip
    roles = ("system", "user", "tool", "assistant")
    messages = [{"role": role, "text": own if role == "assistant" else say(role, number)} for role in roles]
    messages.append({"role": say("role", number), "text": say("text of a role", number)})
    return Transcript(
        transcript_of(say, number), say("scenario", number), "deployment" if number % 4 == 3 else say("kind", number),  # type: ignore[arg-type]
        say("variant", number), (call,), tuple(messages), {say("score", number): 0.5}, say("state", number),  # type: ignore[arg-type]
        source=say("log", number), error=say("error", number),
    )  # fmt: skip


def _token(say: Speaker, number: int) -> list[Any]:
    """Two tokens of a transcript, the first with everything that can stand beside one."""
    key, quote = transcript_of(say, number), say("quote", number)[:300] if number % 2 else ""
    body = f"before {quote} after {say('explanation', number)}" if number % 2 else say("explanation", number)
    scanner: Any = say("scanner", number)
    real = Explanation(key, 0, 1, 0, "none", 0.0, say("nla of a row", number), body, "ok", 0.5)
    judged = Verdict(key, 0, 1, 0, SCANNER, "YES", quote, 0.9, say("reason", number))
    near = Neighbour(0, 2, say("neighbour token", number), say("neighbour", number), "ok", scanner, 0.5)
    claim = ClaimEvidence(say("claim text", number), say("claim kind", number), True, 1, 0.1, None, say("context", number),  # type: ignore[arg-type]
                          say("context reason", number))  # fmt: skip
    return [
        Site(key, 0, 1, say("token", number), say("token role", number), "random"),  # type: ignore[arg-type]
        Site(key, 0, 2, say("second token", number), "response", "random"),
        real,
        replace(real, control=say("control", number), text=say("control text", number)),
        replace(real, position=2, text="", status=say("status", number)),
        judged,
        replace(judged, scanner=scanner, label=say("label", number), reason=say("second reason", number)),
        replace(judged, position=-1, scanner="verbalised", quote=say("assistant", number)[:20]),
        Evidence(key, 0, 1, 0, SCANNER, quote, (near,), (claim,), 0.1, None, 0.5, True),
    ]


def _findings(say: Speaker) -> dict[str, Any]:
    numbers = range(say.count)
    rate = {"rate": 0.5, "ci": [0.4, 0.6], "count": 1, "of": 2}
    place = {"call_index": 0, "position": 1, "sample": 0}
    return {
        "target": {"name": say("target", 0)} | {say("fact", n): say("fact value", n) for n in numbers},
        "nla": {"name": say("nla", 0)} | {say("nla fact", n): say("nla value", n) for n in numbers},
        "awareness": {"scanner": SCANNER} | {say("rule", n): say("rule value", n) for n in numbers},
        "scenarios": [_scenario(say, n) for n in numbers],
        "controls": {say("control rate", n): {"rate": 0.5, say("inner control", n): 1.0} for n in numbers},
        "nla_quality": {say("quality", n): say("quality value", n) for n in numbers},
        "ground_truth": {"families": {say("family", n): {"auroc": 0.5, "ci": [0.4, 0.6]} for n in numbers}},
        "findings": [*(_finding(say, n, "") for n in numbers), *(_finding(say, n, "transcript/") for n in numbers)],
        "corroboration": {"corroborated": rate, "controls_corroborated": rate},
        "evidence": [_piece(say, n) | place for n in numbers],
        "scanner_rates": [_scanner(say, n) | {"transcripts": rate, "explanations": rate} for n in numbers],
        "grader": {"model": say("grader", 0), "scanners": [say("graded", n) for n in range(0, say.count, 2)]},
        "motives": {"themes": [_theme(say, n) | place for n in numbers], "studied": {}, "reference": {}},
        "baselines": {"text": {"classifiers": [{"name": say("reader", n), "missing": say("why no reader", n)} for n in numbers]}},
        "manipulations": [_move(say, n) for n in numbers],
        "failures": [{"transcript_id": f"of {say('failed', n)}", "reason": say("failure", n)} for n in numbers],
        "left_out": [{"scenario": say("left out", n), "reason": say("why left out", n), "remedy": say("remedy", n)} for n in numbers],
        "limits": [say("limit", n) for n in numbers],
    }  # fmt: skip


def _scenario(say: Speaker, number: int) -> dict[str, Any]:
    return {
        "name": say("scenario", number), "kind": say("scenario kind", number), "variant": say("scenario variant", number),
        "outcomes": {say("outcome", number): {"mean": 0.5, "of": 2}},
    }  # fmt: skip


def _finding(say: Speaker, number: int, prefix: str) -> dict[str, Any]:
    def one(place: str) -> str:
        return say(prefix + place, number)

    rule = {"rule": one("rule name"), "level": one("rule level"), "why": one("rule why")}
    return {
        "id": prefix + one("finding"), "claim": one("claim"), "level": one("level"),
        "numbers": {one("number"): 1.0, one("figure"): one("words")},
        "controls": {one("finding control"): {"rate": 0.5}}, "caveats": [one("caveat")], "rules_met": [rule], "rules_failed": [rule],
        "evidence": [{"transcript_id": transcript_of(say, number), "call_index": 0, "position": place} for place in (1, 2)],
    }  # fmt: skip


def _piece(say: Speaker, number: int) -> dict[str, Any]:
    def one(place: str) -> str:
        return say(f"piece {place}", number)

    quote = one("quote")[:300]
    return {
        "transcript_id": transcript_of(say, number), "scenario": one("scenario"), "kind": one("kind"), "scanner": one("scanner"),
        "label": one("label"), "confidence": 0.5, "quote": quote, "reason": one("reason"), "token": one("token"), "status": one("status"),
        "explanation": f"before {quote} after {one('explanation')}" if number % 2 else "", "cosine": 0.5,
        "excerpt": {"before": one("before"), "token": one("excerpt token").strip(), "after": one("after")},
    }  # fmt: skip


def _scanner(say: Speaker, number: int) -> dict[str, Any]:
    said = {"quote": say("scanner quote", number), "reason": say("scanner reason", number)}
    quoted = said | {"transcript_id": say("quoted transcript", number)}
    return {
        "scanner": say("graded", number), "name": say("scanned scenario", number), "kind": say("scanned kind", number),
        "variant": say("scanned variant", number), "bases": {say("basis", number): {"explanations": 1}}, "strongest": [quoted],
    }  # fmt: skip


def _theme(say: Speaker, number: int) -> dict[str, Any]:
    quote = {"text": say("theme quote", number), "transcript_id": say("theme transcript", number), "call_index": 0, "position": 1}
    return {"theme": say("theme", number), "words": [say("word", number)], "z": 2.0, "quotes": [quote]}


def _move(say: Speaker, number: int) -> dict[str, Any]:
    name = "realism" if number % 2 else say("manipulation", number)
    return {"manipulation": name, "scenario": say("moved scenario", number), "expected": say("expected", number), "as_expected": True,
            "points": [{"strength": 0.1}], "judged_at": [0.1]}  # fmt: skip


def _manifest(say: Speaker) -> dict[str, Any]:
    numbers = range(say.count)
    stages = {
        say("stage", n): {
            "status": say("status of a stage", n), "reason": say("reason of a stage", n), "notes": [say("note", n)],
            "failures": {say("failure kind", n): 1}, "counts": {say("counted", n): 1},
            "outputs": {f"{n:03d}{say('file', n)}": say("file digest", n)},
        }
        for n in numbers
    }  # fmt: skip
    return {
        "created": say("begun", 0), "command": say("command", 0), "config": {say("option", n): say("value", n) for n in numbers},
        "versions": {say("package", n): say("version", n) for n in numbers}, "stages": stages,
    }  # fmt: skip


def _sign_offs(say: Speaker) -> list[dict[str, Any]]:
    places = ("name", "role", "decision", "conditions", "notes", "signed", "findings_sha256")
    return [{place: say(f"signed {place}", number) for place in places} for number in range(say.count)]


def _agreement(say: Speaker) -> dict[str, Any]:
    numbers = range(say.count)
    rate = {"rate": 0.5, "ci": [0.4, 0.6]}
    return {
        "rows": 3, "scanner": say("judge", 0), "population": {}, "labelled": {}, "people_yes": rate,
        "reviewers": [{"reviewer": say("reviewer", n), "labels": 1} for n in range(8)],
        "scanners": [{"scanner": say("judging scanner", n), "rows": 3, "kappa": 0.5, "precision": rate, "recall": rate} for n in numbers],
        "between_reviewers": [{"first": say("one reviewer", n), "second": say("other reviewer", n), "rows": 2} for n in numbers],
        "notes": [say("agreement note", n) for n in numbers],
    }  # fmt: skip


def comparison_of(say: Speaker) -> dict[str, Any]:
    """The content of a comparison.json."""
    numbers = range(say.count)
    keys = {"rates": ("scenario", "kind", "variant", "measure", "why_not"), "settings": ("aspect", "first", "second", "meaning"),
            "verdicts": ("area", "verdict")}  # fmt: skip
    rows = {name: [{key: say(f"{name} {key}", n) for key in found} for n in numbers] for name, found in keys.items()}
    for n in numbers:
        rows["settings"][n] |= {"effects": {say("effect area", n): say("effect", n)}}
        rows["verdicts"][n] |= {"reasons": [say("verdict reason", n)]}
        if n % 2:
            rows["rates"][n] |= {"measure": f"scanner:{say('rates measure', n)}"}
    claims = [{"id": say("claim id", n), "claim": say("compared claim", n), "level": say("compared level", n)} for n in numbers]
    statuses = ("new", "vanished", "kept", "not_comparable", "not_asked")
    findings = [
        {"status": statuses[n % 5], "about": say("about", n), "first": claims[n], "second": claims[-n], "why": say("why", n)}
        for n in numbers
    ]
    return compared_once(say, 0) | rows | {
        "findings": findings, "notes": [say("comparison note", n) for n in numbers],
        "themes": {"more_in_second": [_theme(say, n) for n in numbers], "more_in_first": [], "why_not": ""},
        "only_first": [say("only in A", n) for n in numbers], "only_second": [say("only in B", n) for n in numbers],
    }  # fmt: skip


def compared_once(say: Speaker, number: int) -> dict[str, Any]:
    """What stands once in a comparison."""
    keys = ("folder", "created", "target", "revision", "nla", "findings_sha256")
    sides = {
        side: {key: say(f"{side} {key}", number) for key in keys} | {"unfinished": [say(f"{side} unfinished", number)]}
        for side in ("first", "second")
    }
    return {
        **sides,
        "themes": {"why_not": say("why no themes", number)},
        "rates": [],
        "findings": [],
        "settings": [],
        "verdicts": [],
        "notes": [],
    }
