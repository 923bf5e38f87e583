"""A summary of an audit in Markdown, for a pull request.

Text that others wrote must do nothing there: no link, image, mention, issue reference, emoji, formula, HTML or table of its own. What is
made of harmless signs only stands as it is, escaped; everything else stands as code, where GitHub and its like interpret nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.model import FindingView, ReportView, ScenarioView
from reports.reading import Rate
from reports.review import SignOffView
from reports.text import one_of, plain
from reports.view import AuditTables, build_view
from reports.words import percent

FINDINGS, LIMITS, LONG = 15, 8, 600
# Words, and the punctuation of our own sentences; a colon only where no scheme, emoji or address can follow it.
_HARMLESS = re.compile(r"(?:[\w \u2018\u2019\u201c\u201d\u2013,;.?!%()\[\]'+-]|:(?= |$))*", re.ASCII)
# Addresses without a scheme, commit hashes and the like, which forges turn into links of themselves.
_AUTOLINKED = re.compile(r"www\.|\b[0-9a-f]{7,64}\b|\b[A-Za-z]+-\d+\b|\w\.(?:com|org|net|io|dev|ai)\b", re.IGNORECASE)
_ESCAPED = re.compile(r"([_\[\]])|^([+-])|(?<=^\d)([.)])|(?<=^\d\d)([.)])")


def render_markdown(tables: AuditTables) -> str:
    """The summary: verdict, rates by scenario, findings, limits. The same tables always give the same text."""
    view = build_view(tables)
    parts = [
        f"## Audit of {said(view.target)}",
        *([f"> **This audit is not finished. Do not rely on it.** {said(' '.join(view.unfinished))}"] if view.unfinished else []),
        *(_signed(entry) for entry in view.sign_off.entries),
        f"**{said(view.headline)}**",
        _bullets(view.audited),
        "### By scenario",
        _scenarios(view.scenarios) if view.scenarios else "Nothing was measured.",
        "### Findings",
        _findings(view),
        "### How sure",
        _bullets(view.sure),
        "### What to do",
        _bullets([item.text for item in view.advice]),
        *(["### Limits", _bullets(view.limits[:LIMITS])] if view.limits else []),
        f"SHA-256 of findings.json: {said(view.sign_off.digest or 'not known')}",
    ]
    return "\n\n".join(parts) + "\n"


def said(text: str, limit: int = LONG) -> str:
    """One line of Markdown that shows the text and does nothing."""
    shown = plain(text, limit).strip()
    if _HARMLESS.fullmatch(shown) and not _AUTOLINKED.search(shown):
        return _ESCAPED.sub(lambda sign: f"\\{sign[0]}", shown)
    return code(shown)


def code(text: str) -> str:
    """A code span, its fence longer than any run of backticks in the text, and fit for the cell of a table."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    # Within tables a bar ends the cell even in code; a stand-in is the same text everywhere.
    body = text.replace("|", "\u00a6") or " "
    space = " " if body[0] in "` " or body[-1] in "` " else ""
    return f"{fence}{space}{body}{space}{fence}"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {said(line)}" for line in lines) or "None."


def _signed(entry: SignOffView) -> str:
    state = "" if entry.valid else " No longer valid: the findings are not those that were signed."
    conditions = f" Conditions: {said(entry.conditions)}" if entry.conditions else ""
    return f"> **{entry.decision}** by {said(entry.name)}, {said(entry.role)}, {said(entry.signed)}.{state}{conditions}"


def _scenarios(rows: Sequence[ScenarioView]) -> str:
    head = ("Scenario", "Conversations", "NLA-aware", "Said aloud", "Harmful")
    lines = [head, ("---",) * len(head)]
    for row in rows:
        name = said(row.label, 60) + (" (control)" if row.is_control else "")
        count = "not known" if row.transcripts is None else str(row.transcripts)
        lines.append((name, count, _rate(row.aware), _rate(row.verbalised), _rate(row.harmful)))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _rate(rate: Rate) -> str:
    if not rate.known:
        return said(rate.why, 120)
    inside = [f"{rate.count} of {rate.of}"] if rate.count is not None and rate.of is not None else []
    inside += [f"{percent(rate.low)} to {percent(rate.high)}"] if rate.low is not None and rate.high is not None else []
    return percent(rate.value) + (f" ({'; '.join(inside)})" if inside else "")


def _findings(view: ReportView) -> str:
    if not view.findings and not view.single:
        return "None. That is no proof that there is nothing to find."
    lines = [_finding(item) for item in view.findings[:FINDINGS]]
    if len(view.findings) > FINDINGS:
        lines.append(f"- and {len(view.findings) - FINDINGS} more, in the report")
    if view.single:
        levels = [item.finding.level for item in view.single]
        counted = one_of([f"{levels.count(level)} {level}" for level in dict.fromkeys(levels)])
        lines.append(f"- on single conversations: {said(counted)}")
    return "\n".join(lines)


def _finding(item: FindingView) -> str:
    return f"- **{said(item.level)}**: {said(item.claim)}"
