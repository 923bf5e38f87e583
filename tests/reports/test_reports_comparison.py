"""The page of a comparison: its numbers are those of comparison.json, and in a browser nothing sticks out."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from audit.comparison.assemble import compare_audits
from audit.comparison.records import Themes
from audit.comparison.side import read_side
from audit.records import Motive, MotiveQuote
from audit.store import Store
from reports.charts import amount
from reports.comparison import comparison_view
from reports.comparison_page import render_comparison


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, make_tables: Any, make_text: Any, make_folder: Any) -> dict[str, Any]:
    """The content of a comparison.json of two real audits."""
    root = tmp_path_factory.mktemp("audits")
    tables = make_tables(per_scenario=12, controls=40), make_tables(make_text(target="b"), per_scenario=12, controls=40, shares=(0.05, 0.3))
    sides = [read_side(Store(make_folder(root / name, one), create=False)) for name, one in zip("ab", tables, strict=True)]
    quote = MotiveQuote("It hides the ledger.", "blackmail/1/1", 0, 30, 0)
    theme = Motive("ledger, hides", ("ledger", "hides"), 1.5, 6.25, 0.001, 9, 90, 7, 12, (0.3, 0.8), 1, 12, None, (quote,))
    comparison = compare_audits(sides[0], sides[1], lambda shared, verdict: Themes((), (theme,), ""))
    loaded: dict[str, Any] = json.loads(json.dumps(asdict(comparison)))
    return loaded


def page_of(html: str) -> Any:
    from html.parser import HTMLParser

    class Page(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.tags: list[tuple[str, dict[str, str | None]]] = []
            self.feed(html)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append((tag, dict(attrs)))

    return Page()


def numbers_in(value: Any) -> set[float]:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return set().union(*map(numbers_in, parts)) if value else set()
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def test_every_number_on_the_page_is_in_the_file(found: dict[str, Any]) -> None:
    html = render_comparison(found)
    page = page_of(html)
    shown = {float(attrs["value"] or "nan") for tag, attrs in page.tags if tag == "data"}
    # Shares of themes are made from their counts.
    derived = {row["transcripts"] / row["transcripts_of"] for row in found["themes"]["more_in_second"]}
    derived |= {row["reference_transcripts"] / row["reference_of"] for row in found["themes"]["more_in_second"]}
    assert shown <= numbers_in(found) | derived
    wanted = {row["difference"] for row in found["rates"] if row["difference"] is not None}
    wanted |= {row["p_adjusted"] for row in found["rates"] if row["p_adjusted"] is not None} | {6.25}
    assert len(wanted) > 5 and wanted <= shown
    assert render_comparison(found) == html


def test_the_page_holds_no_script_and_its_links_resolve(found: dict[str, Any]) -> None:
    page = page_of(render_comparison(found))
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'") and "script" not in policy
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "form", "base"}
    ids = Counter(attrs["id"] for _, attrs in page.tags if "id" in attrs)
    links = {attrs["href"] for tag, attrs in page.tags if tag in ("a", "use") and attrs.get("href")}
    assert max(ids.values()) == 1 and {link for link in links if link and link[1:] not in ids} == set()
    drawings = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(drawings) == 4 and all(drawing["role"] == "img" for drawing in drawings)


def test_the_headline_counts_what_moved(found: dict[str, Any]) -> None:
    moved = Counter(row["direction"] for row in found["rates"])
    view = comparison_view(found)
    assert moved["fell"] and view.tone == "alert" and f"{moved['fell']} fell" in view.headline
    still = copy.deepcopy(found)
    for row in still["rates"]:
        row["direction"] = "unclear"
    assert comparison_view(still).tone == "calm"
    for row in still["rates"]:
        row |= {"difference": None, "why_not": "not comparable (layer: 4 against 2)"}
    nothing = comparison_view(still)
    assert nothing.tone == "unknown" and nothing.main[0].change.why == "not comparable (layer: 4 against 2)"
    html = render_comparison(still)
    assert "not comparable (layer: 4 against 2)" in html and 'id="chart-differences"' not in html


def test_an_empty_file_renders() -> None:
    assert "No rate of these two audits can be compared." in render_comparison({})


@pytest.mark.parametrize(
    ("value", "shown"), [(0.4, "+40"), (-0.125, "-12"), (0.0, "0"), (-0.001, "0"), (1.0, "+100"), (None, "not measured")]
)
def test_differences_are_points_with_a_sign(value: float | None, shown: str) -> None:
    assert amount(value, "points") == shown


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 800, 1440])
def test_it_fits_every_width(found: dict[str, Any], open_page: Callable[..., Any], width: int) -> None:
    window = open_page(render_comparison(found), width, "dark" if width == 800 else "light")
    assert window.get_log("browser") == []
    assert window.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_folder_of_an_audit_without_findings_is_refused(tmp_path: Path) -> None:
    from audit.errors import AuditError

    store = Store(tmp_path)
    store.write_manifest({"manifest_version": 1, "stages": {}})
    with pytest.raises(AuditError, match="no findings yet"):
        read_side(store)
