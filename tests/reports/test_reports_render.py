"""The HTML: whole, self-contained, the same bytes every time, its links resolve, and its numbers are those of findings.json."""

from __future__ import annotations

import re
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs

import pytest

from reports.charts import Line, Series, dot_chart
from reports.reading import Rate
from reports.render import render_audit
from reports.view import AuditTables


class Page(HTMLParser):
    """What the tests look at."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self) -> set[float]:
        return {float(attrs["value"] or "nan") for tag, attrs in self.tags if tag == "data"}


@pytest.fixture(scope="module")
def html(tables: AuditTables) -> str:
    return render_audit(tables)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_same_tables_give_the_same_bytes(tables: AuditTables, html: str) -> None:
    assert render_audit(tables) == html and len(html) < 800_000


def test_ids_are_unique_and_links_resolve(page: Page, tables: AuditTables) -> None:
    ids = Counter(attrs["id"] for _, attrs in page.tags if "id" in attrs)
    assert [name for name, count in ids.items() if count > 1] == []
    links = {attrs["href"] for tag, attrs in page.tags if tag in ("a", "use") and attrs.get("href")}
    explored = {link for link in links if link and link.startswith("#t=")}
    assert len(links) > 30 and {link for link in links - explored if link and link[1:] not in ids} == set()
    assert tables.sites is not None
    known = {(row.transcript_id, f"{row.call_index}.{row.position}") for row in tables.sites.itertuples()}
    wanted = [parse_qs(link[1:]) for link in explored if link]
    assert len(wanted) > 10 and {(found["t"][0], found["p"][0]) for found in wanted} <= known


def test_it_forbids_the_network_and_every_script_but_its_own(page: Page, html: str) -> None:
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'") and "connect" not in policy
    bodies = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    named = [f"'sha256-{b64encode(sha256(body.encode()).digest()).decode()}'" for body in bodies]
    assert bodies and re.search(r"script-src ([^;]*);", policy).group(1).split() == named  # type: ignore[union-attr]
    data = [attrs for tag, attrs in page.tags if tag == "script" and attrs]
    assert data and {attrs["type"] for attrs in data} == {"text/plain"}
    names = {tag for tag, _ in page.tags}
    assert not names & {"iframe", "object", "embed", "form", "base"}
    assert {attrs["href"] for tag, attrs in page.tags if tag == "link"} == {"data:,"}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "src"]


def test_every_number_of_the_scenarios_is_on_the_page(page: Page, tables: AuditTables) -> None:
    expected: set[float] = set()
    for row in tables.findings["scenarios"]:
        for key, value in row.items():
            if key.endswith("_rate") and value is not None:
                expected.add(value)
            if key.endswith("_ci") and value:
                expected |= set(value)
    expected |= {value for value in tables.findings["nla_quality"].values() if isinstance(value, float)}
    expected |= {tables.findings["ground_truth"]["mean_auroc"], *tables.findings["controls"]["noise_floor"]["ci"]}
    assert len(expected) > 20 and expected <= page.values()


def numbers_in(value: Any) -> set[float]:
    """Every number in a JSON value."""
    if isinstance(value, dict):
        return set().union(*map(numbers_in, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(numbers_in, value)) if value else set()
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def test_no_number_on_the_page_is_the_reports_own(page: Page, tables: AuditTables) -> None:
    assert tables.explanations is not None and tables.verdicts is not None
    known = numbers_in(tables.findings) | set(tables.explanations["cosine"]) | set(tables.verdicts["confidence"])
    assert page.values() <= known


def test_each_chart_has_a_text_alternative_and_its_data(page: Page) -> None:
    drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(drawings) == 8 and all(drawing["role"] == "img" and drawing["aria-labelledby"] for drawing in drawings)
    assert sum(tag == "desc" for tag, _ in page.tags) == 8 and "The chart’s data as a table" in page.text


def test_a_half_finished_audit_is_marked_on_top_and_in_print(tables: AuditTables) -> None:
    manifest = tables.manifest | {"stages": tables.manifest["stages"] | {"verdicts": {"status": "running"}}}
    found = render_audit(replace(tables, manifest=manifest))
    assert found.index("This audit is not finished") < found.index("<h1>")
    assert '@top-center { content: "UNFINISHED AUDIT"' in found and "<title>Unfinished:" in found
    assert "UNFINISHED AUDIT" not in render_audit(tables)


def test_an_empty_audit_renders_and_says_what_is_missing() -> None:
    html = render_audit(AuditTables({}, {}, None, None, None, None))
    text = " ".join(Page(html[html.index("<body>") :]).text)
    assert "This audit has no result yet" in text and text.count("Not measured") >= 5 and "0%" not in text


def test_rendering_loads_no_heavy_package() -> None:
    code = (
        "import sys, reports.render, reports.view, reports.charts; "
        "print([n for n in ('torch', 'pandas', 'matplotlib', 'inspect_ai', 'jinja2') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_chart_labels_are_text_not_markup_or_mathematics() -> None:
    name = '$\\frac{a}{b}$ <script>x</script> " id="x" #a0000a'
    drawn = dot_chart("c", "t", [name], [Series("s", (Rate(0.5, 0.4, 0.6),), 0)], "axis", Line("floor", Rate(0.1)))
    assert drawn is not None and "<script" not in drawn.wide and "$\\frac{a}{b}$" in drawn.wide
    assert "#a0000a" in drawn.description and "<script" not in drawn.narrow
    missing = dot_chart("c", "t", ["a", "b"], [Series("s", (Rate(0.5), Rate()), 0)], "axis")
    assert missing is not None and "not measured" in missing.wide and "b: s not measured" in missing.description
    assert dot_chart("c", "t", ["a"], [Series("s", (Rate(),), 0)], "axis") is None


def test_charts_take_their_colours_from_the_page(tables: AuditTables) -> None:
    drawn = dot_chart("c", "t", ["a"], [Series("s", (Rate(0.5, 0.4, 0.6),), 0)], "axis", Line("floor", Rate(0.1, 0.05, 0.2)))
    assert drawn is not None and "#a0" not in drawn.wide and "var(--series-1)" in drawn.wide and "currentColor" in drawn.wide
    assert "DejaVu" not in drawn.wide and "<metadata" not in drawn.wide and "<style" not in drawn.wide
