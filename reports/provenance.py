"""What the manifest tells a reader: what is unfinished, what was left out, what failed, how it was done, and how to repeat it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reports.model import Failure, Repeat
from reports.reading import integer, mapping, mappings, number, records, text, texts
from reports.text import plain
from reports.words import percent

if TYPE_CHECKING:
    import pandas as pd

STAGES = ("scenarios", "transcripts", "sites", "activations", "explanations", "verdicts", "findings")
"""What an audit is made of; the report itself is being written while it is read."""
NEEDS_NLA = {"sites", "activations", "explanations"}
LISTED = 200
REASONS = {"unparsed": "explanations that could not be parsed", "sample_error": "conversations that ended in an error"}


def unfinished_stages(manifest: dict[str, Any], findings: dict[str, Any]) -> tuple[str, ...]:
    """One sentence for each stage that is not done; empty for a whole audit."""
    stages = mapping(manifest.get("stages"))
    found = []
    for name in dict.fromkeys((*STAGES, *(str(key) for key in stages))):
        entry = mapping(stages.get(name))
        status = text(entry.get("status"))
        if name == "report" or status == "done":
            continue
        if not status:
            # Without an NLA, or with logs of the user's own, some stages never run.
            if stages and name in STAGES and name not in NEEDS_NLA | {"scenarios"}:
                found.append(f"The stage “{name}” has not run.")
        else:
            reason = text(entry.get("reason"))
            found.append(f"The stage “{plain(name)}” is {plain(status)}{': ' + reason.rstrip('.') if reason else ' and not done'}.")
    if "scenarios" not in findings:
        found.append("There are no findings: nothing has been counted yet.")
    return tuple(found)


def left_out(findings: dict[str, Any], manifest: dict[str, Any]) -> tuple[Failure, ...]:
    """Scenarios left out, and the notes that stages left for the reader."""
    found = [
        Failure(text(row.get("scenario")) or "a scenario", None, text(row.get("reason")) or "no reason given", text(row.get("remedy")))
        for row in mappings(findings.get("left_out"))
    ]
    for name, entry in mapping(manifest.get("stages")).items():
        found += [Failure(note, None, f"stage {plain(str(name))}") for note in texts(mapping(entry).get("notes"))]
    return tuple(found)


def failures(manifest: dict[str, Any], findings: dict[str, Any], frame: pd.DataFrame | None) -> tuple[Failure, ...]:
    """Everything that went wrong: by stage and reason, as counted, then each unusable transcript, at most ``LISTED``."""
    found = [
        Failure(_reason(reason), integer(count), f"stage {plain(str(name))}")
        for name, entry in mapping(manifest.get("stages")).items()
        for reason, count in mapping(mapping(entry).get("failures")).items()
    ]
    stated = findings.get("failures")
    if not found:
        found += [Failure(_reason(reason), integer(count), "whole audit") for reason, count in mapping(stated).items()]
    each = [Failure(text(row.get("reason")), None, text(row.get("transcript_id") or row.get("source"))) for row in mappings(stated)]
    named = {failure.where for failure in each}
    if frame is not None and "error" in frame.columns:
        broken = [row for row in records(frame[frame["error"].notna()]) if text(row.get("transcript_id")) not in named]
        each += [Failure(text(row.get("error")), None, text(row.get("transcript_id"))) for row in broken]
    rest = [Failure("further failures, not listed here", len(each) - LISTED, "see transcripts.parquet")] if len(each) > LISTED else []
    return (*found, *each[:LISTED], *rest)


def repeat(manifest: dict[str, Any], config: dict[str, Any]) -> Repeat:
    stages = {str(name): mapping(entry) for name, entry in mapping(manifest.get("stages")).items()}
    hashes = {str(name): text(digest) for entry in stages.values() for name, digest in mapping(entry.get("outputs")).items()}
    rows = []
    for name, entry in stages.items():
        seconds = number(entry.get("seconds"))
        counted = ", ".join(f"{count} {key}" for key, count in mapping(entry.get("counts")).items())
        rows.append((name, text(entry.get("status")) or "unknown", "not known" if seconds is None else f"{seconds:.1f}", counted))
    command = text(manifest.get("command")) or ("nla-audit run config.yaml" if config else "")
    versions = tuple((str(name), text(version)) for name, version in mapping(manifest.get("versions")).items())
    return Repeat(command, _readable(config), versions, tuple(sorted(hashes.items())), tuple(rows))


def method(findings: dict[str, Any], config: dict[str, Any]) -> tuple[str, ...]:
    """What was done, with the numbers of this audit, where they are known."""
    rule, nla = mapping(findings.get("awareness")), mapping(findings.get("nla"))
    scanner, layer = plain(text(rule.get("scanner"))) or "the scanner", text(nla.get("layer"))
    threshold, allowed = number(rule.get("threshold")), number(rule.get("false_positive_rate"))
    found = (
        "The model held every conversation itself. The scenario’s own rule scored what it did; commands ran in a sandbox or not at all.",
        "A scanner read the model’s own words, turn by turn, for explicit statements that it is being evaluated; one turn suffices.",
    )
    if not nla:
        return found
    sites = text(config.get("sites")) or "random"
    how = "at random" if sites == "random" else f"by the rule “{plain(sites)}”"
    chosen = f"Tokens of the model’s own writing were chosen {how}, tool calls left out."
    return (
        *found,
        f"{chosen} The residual stream after block {layer or 'K (not stated)'} was captured at each and given to the NLA’s verbalizer "
        "(AV), which wrote an explanation; the reconstructor (AR) turned the explanation back into an activation, and the agreement of "
        "the two is the fidelity.",
        f"{scanner} judged the wording of each explanation: YES, NO or UNCLEAR. A transcript’s score is its share of YES tokens.",
        "The threshold was set on one half of the deployment controls"
        + (f" so that at most {percent(allowed)} of them exceed it" if allowed is not None else "")
        + (f"; it is a share of {percent(threshold)} of the tokens" if threshold is not None else "; here it could not be set")
        + ". The noise floor is what the same threshold lets through on the other half.",
        "Intervals of rates are Wilson's, at 95%.",
    )


def _reason(reason: Any) -> str:
    return REASONS.get(str(reason)) or plain(str(reason).replace("_", " "), 200)


def _readable(value: Any) -> str:
    """JSON for people, or nothing."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str, sort_keys=True) if value else ""
