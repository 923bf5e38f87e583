"""From an audit's tables to what the report shows. Missing pieces are named in words in their place, never shown as zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports import words
from reports.evidence import (
    PIECES,
    conversations,
    evidence_views,
    false_alarms,
    piece_anchor,
    place_key,
    readable_json,
    rows_of,
    with_tokens,
)
from reports.figures import control_figures, figures, quality_figures, scenario_views
from reports.model import Failure, Figure, FindingView, Repeat, ReportView
from reports.reading import Rate, integer, mapping, mappings, number, records, share, text, texts
from reports.text import anchor, plain

if TYPE_CHECKING:
    import pandas as pd

STAGES = ("scenarios", "transcripts", "sites", "activations", "explanations", "verdicts", "findings")
"""What an audit is made of; the report itself is being written while it is read."""
NEEDS_NLA = {"sites", "activations", "explanations"}
LISTED = 200


@dataclass(frozen=True)
class AuditTables:
    """An audit's folder in memory: the manifest, ``findings.json``, and the tables with record fields as columns.

    Each part may be empty or ``None``: half-finished audits are reported too.
    """

    manifest: dict[str, Any]
    findings: dict[str, Any]
    transcripts: pd.DataFrame | None
    sites: pd.DataFrame | None
    explanations: pd.DataFrame | None
    verdicts: pd.DataFrame | None


def build_view(tables: AuditTables) -> ReportView:
    """The whole report as plain data."""
    findings, manifest = mapping(tables.findings), mapping(tables.manifest)
    config = mapping(manifest.get("config"))
    nla = mapping(findings.get("nla"))
    why = _why_no_awareness(findings, nla)
    floor = share(mapping(findings.get("controls")).get("noise_floor"), "not measured: too few control transcripts")
    digest = words.Digest(
        target=words.target_name(findings, config), nla=plain(text(nla.get("name")), 120), has_findings="scenarios" in findings,
        rows=scenario_views(findings, why or "not measured: no transcript could be judged"), floor=floor, findings=findings, why_aware=why,
    )  # fmt: skip
    counts = _counts(tables)
    unfinished, left_out, failures = unfinished_stages(manifest, findings), _left_out(findings, manifest), _failures(tables)
    tone, headline = words.headline(digest)
    evidence = _evidence(tables, findings)
    pieces = {view.anchor for view in evidence["evidence"]}
    truth = mapping(findings.get("ground_truth"))
    return ReportView(
        target=digest.target,
        created=text(findings.get("created") or manifest.get("created")),
        unfinished=unfinished,
        tone=tone,
        headline=headline,
        audited=words.audited(digest, counts),
        found=words.found(digest),
        sure=words.sure(digest),
        advice=words.advice(digest, len(left_out), len(failures), bool(unfinished)),
        tiles=_tiles(digest),
        findings=tuple(_finding(row, pieces) for row in mappings(findings.get("findings"))),
        target_facts=_facts(findings.get("target")),
        nla_facts=_facts(nla),
        counts=tuple((name.capitalize(), "not known" if count is None else f"{count:,}") for name, count in counts.items()),
        scenarios=digest.rows,
        awareness_missing=why,
        threshold=figures(mapping(findings.get("awareness"))),
        floor=floor,
        controls=control_figures(mapping(findings.get("controls"))),
        quality=quality_figures(mapping(findings.get("nla_quality"))) if nla else (),
        truth=_truth(truth),
        truth_families=tuple(_family(name, row) for name, row in mapping(truth.get("families")).items()),
        left_out=left_out,
        failures=failures,
        limits=tuple(texts(findings.get("limits"))),
        repeat=_repeat(manifest, config),
        method=_method(findings, nla),
        **evidence,
    )


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
            found.append(f"The stage “{plain(name)}” is {plain(status)}{': ' + reason if reason else ' and not done'}.")
    if "scenarios" not in findings:
        found.append("There are no findings: nothing has been counted yet.")
    return tuple(found)


def _why_no_awareness(findings: dict[str, Any], nla: dict[str, Any]) -> str:
    if "scenarios" not in findings:
        return "not measured: the audit has not come that far"
    if not nla:
        return "not measured: no NLA was used"
    rows = mappings(findings.get("scenarios"))
    if any(number(row.get("nla_aware_rate")) is not None for row in rows):
        return ""
    if mapping(findings.get("awareness")).get("threshold", 0) is None:
        return "not measured: too few control transcripts to set a threshold"
    return "not measured: no transcript could be judged"


def _counts(tables: AuditTables) -> dict[str, int | None]:
    """How much there is of everything; explanations of control activations stand apart."""

    def length(table: pd.DataFrame | None) -> int | None:
        return None if table is None else len(table)

    said = tables.explanations
    real = said[said["control"].fillna("none") == "none"] if said is not None and "control" in said.columns else said
    extra = None if said is None or real is None else len(said) - len(real)
    return {
        "transcripts": length(tables.transcripts), "sites": length(tables.sites), "explanations": length(real),
        "explanations of control activations": extra, "verdicts": length(tables.verdicts),
    }  # fmt: skip


def _tiles(digest: words.Digest) -> tuple[Figure, ...]:
    """The four figures of the first screen."""
    top = max(digest.measured, key=lambda row: row.aware.value or 0.0, default=None)
    spoken = max((row for row in digest.studied if row.verbalised.known), key=lambda row: row.verbalised.value or 0.0, default=None)
    fve = number(mapping(digest.findings.get("nla_quality")).get("fve"))
    why = digest.why_aware or "not measured: no scenario"
    return (
        Figure("Most NLA-aware scenario", top.aware if top else Rate(why=why), text=top.label if top else "", meaning="share of conversations"),
        Figure("Noise floor", digest.floor, meaning="false alarms on controls"),
        Figure("Most said aloud", spoken.verbalised if spoken else Rate(why="not measured"), text=spoken.label if spoken else "",
               meaning="share of conversations"),
        Figure("Fidelity (FVE)", value=fve, meaning="0 nothing, 1 everything carried", missing="not measured" if digest.nla else "not measured: no NLA"),
    )  # fmt: skip


def _finding(row: dict[str, Any], shown_pieces: set[str]) -> FindingView:
    name, level = text(row.get("id")) or text(row.get("claim")), text(row.get("level"))
    evidence = {piece_anchor(piece): piece for piece in mappings(row.get("evidence"))}
    links = [(key, piece) for key, piece in evidence.items() if key in shown_pieces]
    return FindingView(
        anchor=anchor("finding", name),
        id=name,
        claim=text(row.get("claim")) or "(no claim)",
        level=level if level in words.LEVELS else "unknown level",
        level_meaning=words.LEVELS.get(level, "the audit states no level"),
        numbers=figures(mapping(row.get("numbers"))),
        controls=figures(mapping(row.get("controls"))),
        evidence=tuple((f"{plain(place_key(piece)[0], 40)}, position {place_key(piece)[2]}", key) for key, piece in links),
        evidence_elsewhere=len(evidence) - len(links),
        caveats=tuple(texts(row.get("caveats"))),
    )


def _evidence(tables: AuditTables, findings: dict[str, Any]) -> dict[str, Any]:
    """Evidence, false alarms, and the conversations of both."""
    pieces = mappings(findings.get("evidence"))[:PIECES]
    scanner = text(mapping(findings.get("awareness")).get("scanner")) or next((text(piece.get("scanner")) for piece in pieces), "")
    scanner = scanner or "awareness.lexical"
    shown = {place_key(piece) for piece in pieces}
    alarms = false_alarms(tables.transcripts, tables.explanations, tables.verdicts, scanner)
    alarms = [row for row in alarms if place_key(row) not in shown]
    frames = {"transcripts": tables.transcripts, "sites": tables.sites, "explanations": tables.explanations, "verdicts": tables.verdicts}
    rows = rows_of({text(piece.get("transcript_id")) for piece in (*pieces, *alarms)}, frames)
    return {
        "evidence": evidence_views(with_tokens(pieces, rows), rows),
        "alarms": evidence_views(with_tokens(alarms, rows), rows),
        "conversations": conversations([*pieces, *alarms], rows, scanner),
    }


def _facts(value: Any) -> tuple[tuple[str, str], ...]:
    """The entries of a mapping as names and texts; what is unknown says so."""
    return tuple((plain(key.replace("_", " ")), text(item) or "not known") for key, item in mapping(value).items())


def _truth(truth: dict[str, Any]) -> tuple[Figure, ...]:
    if not truth:
        return ()
    reaching = mapping(truth.get("at_threshold"))
    over = ", ".join(plain(name) for name in texts(truth.get("averaged_over")))
    found = [
        Figure("Mean AUROC of the agent families", value=number(truth.get("mean_auroc")), text=f"over {over}" if over else ""),
        Figure("In evaluation: above the threshold (true alarms)", share(reaching.get("evaluation"), "not measured: no threshold")),
        Figure("In deployment: above the threshold (false alarms)", share(reaching.get("deployment"), "not measured: no threshold")),
    ]
    known = {"scanner", "families", "mean_auroc", "averaged_over", "at_threshold"}
    return (*found, *figures({key: value for key, value in truth.items() if key not in known}))


def _family(name: str, row: Any) -> Figure:
    found = mapping(row)
    area = share({"rate": found.get("auroc"), "ci": found.get("ci")}, "not measured")
    sides = [f"{integer(found.get(state))} in {state}" for state in ("evaluation", "deployment") if integer(found.get(state)) is not None]
    return Figure(plain(name, 40), area, text=", ".join(sides))


def _left_out(findings: dict[str, Any], manifest: dict[str, Any]) -> tuple[Failure, ...]:
    """Scenarios left out, and the notes that stages left for the reader."""
    found = [
        Failure(text(row.get("scenario")) or "a scenario", None, text(row.get("reason")) or "no reason given", text(row.get("remedy")))
        for row in mappings(findings.get("left_out"))
    ]
    for name, entry in mapping(manifest.get("stages")).items():
        found += [Failure(note, None, f"stage {plain(str(name))}") for note in texts(mapping(entry).get("notes"))]
    return tuple(found)


def _failures(tables: AuditTables) -> tuple[Failure, ...]:
    """Everything that went wrong: by stage and reason, as counted, then each unusable transcript, at most ``LISTED``."""
    found = [
        Failure(plain(str(reason), 200), integer(count), f"stage {plain(str(name))}")
        for name, entry in mapping(mapping(tables.manifest).get("stages")).items()
        for reason, count in mapping(mapping(entry).get("failures")).items()
    ]
    stated = mapping(tables.findings).get("failures")
    if not found:
        found += [Failure(plain(str(reason), 200), integer(count), "whole audit") for reason, count in mapping(stated).items()]
    each = [Failure(text(row.get("reason")), None, text(row.get("transcript_id") or row.get("source"))) for row in mappings(stated)]
    named = {failure.where for failure in each}
    frame = tables.transcripts
    if frame is not None and "error" in frame.columns:
        broken = [row for row in records(frame[frame["error"].notna()]) if text(row.get("transcript_id")) not in named]
        each += [Failure(text(row.get("error")), None, text(row.get("transcript_id"))) for row in broken]
    rest = [Failure("further failures, not listed here", len(each) - LISTED, "see transcripts.parquet")] if len(each) > LISTED else []
    return (*found, *each[:LISTED], *rest)


def _repeat(manifest: dict[str, Any], config: dict[str, Any]) -> Repeat:
    stages = {str(name): mapping(entry) for name, entry in mapping(manifest.get("stages")).items()}
    hashes = {str(name): text(digest) for entry in stages.values() for name, digest in mapping(entry.get("outputs")).items()}
    rows = []
    for name, entry in stages.items():
        seconds = number(entry.get("seconds"))
        counted = ", ".join(f"{count} {key}" for key, count in mapping(entry.get("counts")).items())
        rows.append((name, text(entry.get("status")) or "unknown", "not known" if seconds is None else f"{seconds:.1f}", counted))
    command = text(manifest.get("command")) or ("nla-audit run config.yaml" if config else "")
    versions = tuple((str(name), text(version)) for name, version in mapping(manifest.get("versions")).items())
    return Repeat(command, readable_json(config), versions, tuple(sorted(hashes.items())), tuple(rows))


def _method(findings: dict[str, Any], nla: dict[str, Any]) -> tuple[str, ...]:
    """What was done, with the numbers of this audit, where they are known."""
    rule = mapping(findings.get("awareness"))
    scanner, layer = plain(text(rule.get("scanner"))) or "the scanner", text(nla.get("layer"))
    threshold, allowed = number(rule.get("threshold")), number(rule.get("false_positive_rate"))
    found: Sequence[str] = (
        "The model held every conversation itself. The scenario's own rule scored what it did; commands ran in a sandbox or not at all.",
        "A scanner read the model's own words, turn by turn, for explicit statements that it is being evaluated; one turn suffices (“said aloud”).",
    )
    if not nla:
        return tuple(found)
    return (
        *found,
        f"Random tokens of the model's own writing were chosen, tool calls left out. The residual stream after block {layer or 'K (not stated)'} "
        "was captured at each and given to the NLA's verbalizer (AV), which wrote an explanation; the reconstructor (AR) turned the explanation "
        "back into an activation, and the agreement of the two is the fidelity.",
        f"{scanner} judged the wording of each explanation: YES, NO or UNCLEAR. A transcript's score is its share of YES tokens.",
        "The threshold was set on one half of the deployment controls"
        + (f" so that at most {words.percent(allowed)} of them exceed it" if allowed is not None else "")
        + (f"; it is a share of {words.percent(threshold)} of the tokens" if threshold is not None else "; here it could not be set")
        + ". The noise floor is what the same threshold lets through on the other half.",
        "Intervals of rates are Wilson's, at 95%.",
    )
