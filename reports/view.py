"""From an audit's tables to what the report shows. Missing pieces are named in words in their place, never shown as zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports import words
from reports.baselines import baseline_views, baseline_words
from reports.evidence import (
    PIECES,
    conversations,
    evidence_views,
    explorer_link,
    false_alarms,
    piece_anchor,
    place_key,
    place_words,
    rows_of,
    with_tokens,
)
from reports.examined import corroboration_figures, is_single, rule_views, transcript_views
from reports.figures import control_figures, figures, quality_figures, scenario_views, threshold_figures
from reports.games import game_view
from reports.model import Figure, FindingView, ReportView
from reports.moves import MISSING, move_views, studied_rows
from reports.provenance import failures, left_out, method, repeat, unfinished_stages
from reports.reading import Rate, integer, mapping, mappings, number, share, text, texts
from reports.review import agreement_view, sign_off_section
from reports.scanned import grader_words, motive_views, motives_words, scanner_views
from reports.text import anchor, plain

if TYPE_CHECKING:
    import pandas as pd


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
    evidence: pd.DataFrame | None = None
    findings_sha256: str = ""
    """Of ``findings.json`` as it lies in the folder: what a sign-off is bound to."""
    sign_offs: Sequence[dict[str, Any]] = ()
    agreement: dict[str, Any] | None = None
    """Of scanners and people; ``None`` where nobody labelled."""
    game: dict[str, Any] | None = None
    """A game that was put beside the audit: ``results``, ``folder``, ``sha256``, ``logs``."""


def build_view(tables: AuditTables) -> ReportView:
    """The whole report as plain data."""
    findings, manifest = mapping(tables.findings), mapping(tables.manifest)
    config = mapping(manifest.get("config"))
    nla = mapping(findings.get("nla"))
    why = _why_no_awareness(findings, nla)
    floor = share(mapping(findings.get("controls")).get("noise_floor"), "not measured: too few control transcripts")
    digest = words.Digest(
        target=words.target_name(findings, config), nla=plain(text(nla.get("name")), 120), has_findings="scenarios" in findings,
        rows=studied_rows(scenario_views(findings, why or "not measured: no transcript could be judged")), floor=floor, findings=findings,
        why_aware=why,
    )  # fmt: skip
    counts = _counts(tables)
    unfinished, omitted, failed = (
        unfinished_stages(manifest, findings),
        left_out(findings, manifest),
        failures(manifest, findings, tables.transcripts),
    )
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
        sure=(*words.sure(digest), *baseline_words(findings)),
        advice=words.advice(digest, len(omitted), len(failed), bool(unfinished)),
        tiles=_tiles(digest),
        **_findings(findings, pieces),
        target_facts=_facts(findings.get("target")),
        nla_facts=_facts(nla),
        counts=tuple((name.capitalize(), "not known" if count is None else f"{count:,}") for name, count in counts.items()),
        scenarios=digest.rows,
        awareness_missing=why,
        threshold=threshold_figures(mapping(findings.get("awareness"))),
        floor=floor,
        controls=control_figures(mapping(findings.get("controls"))),
        quality=quality_figures(mapping(findings.get("nla_quality"))) if nla else (),
        truth=_truth(truth),
        truth_families=tuple(_family(name, row) for name, row in mapping(truth.get("families")).items()),
        left_out=omitted,
        failures=failed,
        limits=tuple(texts(findings.get("limits"))),
        repeat=repeat(manifest, config),
        method=method(findings, config),
        **evidence,
        **_scanned(findings, bool(nla)),
        baselines=baseline_views(findings),
        moves=move_views(findings),
        moves_missing=MISSING,
        sign_off=sign_off_section(tables.sign_offs, tables.findings_sha256),
        agreement=agreement_view(tables.agreement),
        games=game_view(tables.game),
    )


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
    no_fidelity = "not measured" if digest.nla else "not measured: no NLA"
    return (
        Figure("Most NLA-aware scenario", top.aware if top else Rate(why=why), text=top.label if top else ""),
        Figure("Noise floor: false alarms", digest.floor),
        Figure("Most said aloud", spoken.verbalised if spoken else Rate(), text=spoken.label if spoken else ""),
        Figure("Fidelity (FVE)", value=fve, meaning="1: the words carry everything; 0: nothing", missing=no_fidelity),
    )


def _findings(findings: dict[str, Any], pieces: set[str]) -> dict[str, Any]:
    """Findings on scenarios and the like one by one, those on single transcripts as rows of a table."""
    rows = mappings(findings.get("findings"))
    single = [row for row in rows if is_single(row)]
    return {
        "findings": tuple(_finding(row, pieces) for row in rows if not is_single(row)),
        "single": transcript_views(single, [_finding(row, pieces) for row in single]),
        "corroboration": corroboration_figures(findings),
    }


def _finding(row: dict[str, Any], shown_pieces: set[str]) -> FindingView:
    name, level = text(row.get("id")) or text(row.get("claim")), text(row.get("level"))
    evidence = {piece_anchor(piece): piece for piece in mappings(row.get("evidence"))}
    links = [(key, piece) for key, piece in evidence.items() if key in shown_pieces]
    others = [piece for key, piece in evidence.items() if key not in shown_pieces]
    return FindingView(
        anchor=anchor("finding", name),
        id=name,
        claim=text(row.get("claim")) or "(no claim)",
        level=level if level in words.LEVELS else "unknown level",
        level_meaning=words.LEVELS.get(level, "the audit states no level"),
        numbers=figures(mapping(row.get("numbers"))),
        controls=figures(mapping(row.get("controls"))),
        evidence=tuple((place_words(piece), key) for key, piece in links),
        explorer=tuple((place_words(piece), explorer_link(piece)) for piece in others),
        caveats=tuple(texts(row.get("caveats"))),
        rules=rule_views(row),
    )


def _evidence(tables: AuditTables, findings: dict[str, Any]) -> dict[str, Any]:
    """Evidence, false alarms, and the conversations of both."""
    pieces = mappings(findings.get("evidence"))[:PIECES]
    scanner = text(mapping(findings.get("awareness")).get("scanner")) or next((text(piece.get("scanner")) for piece in pieces), "")
    scanner = scanner or "awareness.lexical"
    shown = {place_key(piece) for piece in pieces}
    alarms = false_alarms(tables.transcripts, tables.explanations, tables.verdicts, scanner)
    alarms = [row for row in alarms if place_key(row) not in shown]
    frames = {"transcripts": tables.transcripts, "sites": tables.sites, "explanations": tables.explanations, "verdicts": tables.verdicts,
              "evidence": tables.evidence}  # fmt: skip
    rows = rows_of({text(piece.get("transcript_id")) for piece in (*pieces, *alarms)}, frames)
    return {
        "evidence": evidence_views(with_tokens(pieces, rows), rows),
        "alarms": evidence_views(with_tokens(alarms, rows), rows),
        "conversations": conversations([*pieces, *alarms], rows, scanner),
    }


def _scanned(findings: dict[str, Any], has_nla: bool) -> dict[str, Any]:
    """Motives, and what a grader and rules say."""
    compared, no_motives = motives_words(findings)
    grader, no_grader = grader_words(findings, has_nla)
    return {
        "motives": motive_views(findings), "motives_compared": compared, "motives_missing": no_motives,
        "grader": grader, "grader_missing": no_grader,
        "grades": scanner_views(findings, graded=True), "rules": scanner_views(findings, graded=False),
    }  # fmt: skip


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
    found += [_instead(name, row) for name, row in mapping(truth.get("baselines")).items()]
    known = {"scanner", "families", "mean_auroc", "averaged_over", "at_threshold", "baselines"}
    return (*found, *figures({key: value for key, value in truth.items() if key not in known}))


def _instead(name: str, row: Any) -> Figure:
    label = {"text": "the text-only baseline", "probe": "the linear probe"}.get(name, plain(name, 40))
    return Figure(f"Mean AUROC of {label}, on the same conversations", value=number(mapping(row).get("mean_auroc")))


def _family(name: str, row: Any) -> Figure:
    found = mapping(row)
    area = share({"rate": found.get("auroc"), "ci": found.get("ci")}, "not measured")
    sides = [f"{integer(found.get(state))} in {state}" for state in ("evaluation", "deployment") if integer(found.get(state)) is not None]
    return Figure(plain(name, 40), area, text=", ".join(sides))
