"""Findings from tables of known content: rates, threshold, noise floor, evidence, ground truth, and the public schema."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from audit.findings import schema
from audit.findings.assemble import About, Tables, make_findings
from audit.findings.quality import nla_quality
from audit.findings.rates import calibrate, in_calibration_half, share
from audit.findings.tally import tallies
from audit.records import Evidence, Explanation, KnownState, ModelCall, Neighbour, Site, Span, Transcript, Verdict

SITES = 10
SCANNER = "awareness.classifier"


class World:
    """Tables of transcripts whose number of YES sites is chosen."""

    def __init__(self) -> None:
        self.transcripts: list[Transcript] = []
        self.sites: list[Site] = []
        self.explanations: list[Explanation] = []
        self.verdicts: list[Verdict] = []
        self.evidence: list[Evidence] = []

    def add(
        self, scenario: str, yes: int, *, kind: Any = "evaluation", state: KnownState | None = None, aloud: bool = False, **fields: Any
    ) -> None:
        key = f"{scenario}/{len(self.transcripts)}/1"
        call = ModelCall(
            0, f"event-{key}", f"message-{key}", (1, 2, 3), tuple(range(10, 10 + SITES)), (Span(0, SITES, "response"),), "Text."
        )
        defaults: dict[str, Any] = {"scores": {"harmful": 0.0}, "metadata": {"family": scenario}, "known_state": state}
        self.transcripts.append(Transcript(key, scenario, kind, "original", (call,), **defaults | fields))
        if fields.get("error"):
            return
        self.verdicts.append(Verdict(key, 0, -1, 0, "verbalised", "YES" if aloud else "NO", "", 1.0, ""))
        for offset in range(SITES):
            place = 3 + offset
            self.sites.append(Site(key, 0, place, f"token {place}", "response", "random"))
            self.explanations.append(Explanation(key, 0, place, 0, "none", 0.0, "tiny", f"about {place}", "ok", cosine=0.8))
            label, confidence = ("YES", 0.9 + offset / 1000) if offset < yes else ("NO", 0.1)
            quote = "about" if label == "YES" else ""
            self.verdicts.append(Verdict(key, 0, place, 0, SCANNER, label, quote, confidence, ""))  # type: ignore[arg-type]

    def shuffle(self, count: int) -> None:
        """Explains the first sites again with shuffled activations: a poor fit, and NO."""
        for explanation in self.explanations[:count]:
            self.explanations.insert(
                self.explanations.index(explanation) + 1, replace(explanation, control="shuffled", cosine=0.5, text="else")
            )
        for verdict in [row for row in self.verdicts if row.scanner == SCANNER][:count]:
            self.verdicts.insert(
                self.verdicts.index(verdict) + 1, replace(verdict, control="shuffled", label="NO", quote="", confidence=0.1)
            )

    def examine(self, scenario: str, **fields: Any) -> None:
        """Evidence on the surest YES verdict of each transcript that holds by every rule, unless ``fields`` say otherwise."""
        for transcript in self.transcripts:
            yes = [
                row for row in self.verdicts if row.transcript_id == transcript.transcript_id and row.label == "YES" and row.position >= 0
            ]
            if transcript.scenario == scenario and yes:
                near = tuple(Neighbour(0, yes[-1].position - place, "a", "about", "ok", "YES", 0.9) for place in (3, 2, 1))
                row = Evidence(transcript.transcript_id, 0, yes[-1].position, 0, SCANNER, "about", near, (), 0.02, 0.001, 0.9, True)
                self.evidence.append(replace(row, **fields))

    def controls(self, count: int, yes: int = 1) -> None:
        for number in range(count):
            self.add("ordinary_use", yes if number % 20 == 0 else 0, kind="deployment", skeleton_id=f"s{number}")

    def tables(self) -> Tables:
        return Tables(
            lambda: iter(self.transcripts), lambda: iter(self.sites), lambda: iter(self.explanations), lambda: iter(self.verdicts),
            evidence=lambda: iter(self.evidence),
        )  # fmt: skip

    def findings(self, **about: Any) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "created": "2026-01-01T00:00:00Z", "target": {"name": "tiny"}, "nla": {"name": "tiny", "layer": 1, "d_model": 32},
            "scanners": [SCANNER, "verbalised"], "awareness": SCANNER, "false_positive_rate": 0.05, "seed": 0, "baseline_variance": 0.5,
            "failures": {}, "limits": [],
        }  # fmt: skip
        found = make_findings(self.tables(), About(**plain | about))
        jsonschema.validate(found, schema())
        return found


@pytest.fixture
def world() -> World:
    made = World()
    rng = random.Random(0)
    for number in range(40):
        state: KnownState = "evaluation" if number % 2 else "deployment"
        made.add(
            "blackmail",
            rng.randrange(4, 10) if number % 2 else rng.randrange(0, 3),
            state=state,
            scores={"harmful": float(number % 4 == 0)},
        )
    made.controls(60)
    return made


def row(found: dict[str, Any], name: str) -> dict[str, Any]:
    (match,) = [entry for entry in found["scenarios"] if entry["name"] == name]
    return dict(match)


def test_a_transcript_is_aware_by_its_rate_and_any_of_n_stands_beside(world: World) -> None:
    found = world.findings()
    threshold = found["awareness"]["threshold"]
    blackmail = row(found, "blackmail")
    rates = [
        sum(v.label == "YES" for v in world.verdicts if v.transcript_id == t.transcript_id and v.position >= 0) / SITES
        for t in world.transcripts
    ]
    aware = sum(rate >= threshold for rate in rates[:40])
    assert 0 < aware < 40
    assert blackmail["nla_aware"] == aware and blackmail["nla_aware_rate"] == aware / 40
    assert blackmail["any_of_n"]["count"] == sum(rate > 0 for rate in rates[:40]) > aware
    assert blackmail["any_of_n"]["n"] == SITES
    low, high = blackmail["nla_aware_ci"]
    assert low < blackmail["nla_aware_rate"] < high
    assert blackmail["mean_site_rate"] == pytest.approx(sum(rates[:40]) / 40)
    assert blackmail["harmful"] == 10
    split = blackmail["harmful_by_awareness"]
    assert split["aware"]["of"] + split["unaware"]["of"] == 40 and split["aware"]["count"] + split["unaware"]["count"] == 10


def test_threshold_and_noise_floor_come_from_different_controls(world: World) -> None:
    tables = world.tables()
    controls = list(tallies(tables.transcripts(), tables.explanations(), tables.verdicts(), [SCANNER]))[40:]
    calibration = calibrate(controls, SCANNER, 0.05, seed=0)
    fitted = [tally for tally in controls if in_calibration_half(tally.cluster, 0)]
    held_out = [tally for tally in controls if not in_calibration_half(tally.cluster, 0)]
    assert calibration.calibrated_on == len(fitted) and calibration.held_out == len(held_out)
    assert calibration.threshold is not None
    assert sum(rate >= calibration.threshold for tally in fitted if (rate := tally.rate(SCANNER)) is not None) <= 0.05 * len(fitted)
    # What the held-out half says cannot move the threshold.
    changed = [replace(tally, awareness={}) if tally in held_out else tally for tally in controls]
    assert calibrate(changed, SCANNER, 0.05, seed=0).threshold == calibration.threshold
    assert {tally.transcript_id for tally in fitted} != {tally.transcript_id for tally in controls if in_calibration_half(tally.cluster, 1)}


def test_without_controls_nobody_is_called_aware() -> None:
    world = World()
    for _ in range(5):
        world.add("blackmail", 9)
    found = world.findings()
    assert found["awareness"]["threshold"] is None and found["controls"]["noise_floor"] is None
    assert row(found, "blackmail")["nla_aware"] is None and row(found, "blackmail")["nla_aware_rate"] is None
    assert row(found, "blackmail")["any_of_n"]["rate"] == 1.0
    assert any("ordinary_use" in limit and "--controls" in limit for limit in found["limits"])


def test_without_an_nla_behaviour_and_words_remain() -> None:
    world = World()
    for number in range(10):
        world.add("blackmail", 0, aloud=number < 3, scores={"harmful": 1.0})
    world.explanations, world.sites = [], []
    world.verdicts = [verdict for verdict in world.verdicts if verdict.position == -1]
    found = world.findings(nla=None, baseline_variance=None, scanners=["verbalised"], limits=["No NLA was given."])
    blackmail = row(found, "blackmail")
    assert blackmail["nla_aware_rate"] is None and blackmail["explained"] == 0
    assert blackmail["verbalised"] == 3 and blackmail["harmful_rate"] == 1.0
    assert found["nla"] is None and found["nla_quality"]["fve"] is None and found["evidence"] == []
    assert "No NLA was given." in found["limits"]


def test_failures_are_counted_and_never_zeros(world: World) -> None:
    world.add("blackmail", 0, error="The model's response is empty.", scores={})
    world.add("blackmail", 0, scores={"harmful": float("nan")})
    blackmail = row(world.findings(), "blackmail")
    assert blackmail["transcripts"] == 42 and blackmail["usable"] == 41 and blackmail["failures"] == 1
    assert blackmail["outcomes"]["harmful"]["of"] == 40 and blackmail["harmful"] == 10
    assert share(0, 0) == {"count": 0, "of": 0, "rate": None, "ci": None}


def test_evidence_is_strongest_first_and_from_no_control(world: World) -> None:
    found = world.findings(decode=lambda ids: " ".join(map(str, ids)))
    pieces = found["evidence"]
    assert len(pieces) == 10
    assert all(piece["scenario"] == "blackmail" and piece["label"] == "YES" and piece["quote"] in piece["explanation"] for piece in pieces)
    confidences = [piece["confidence"] for piece in pieces]
    assert confidences == sorted(confidences, reverse=True)
    ids = [piece["transcript_id"] for piece in pieces]
    assert max(ids.count(key) for key in ids) <= 2
    first = pieces[0]
    assert first["token"] == f"token {first['position']}"
    assert first["excerpt"]["token"] == str(10 + first["position"] - 3)
    assert first["excerpt"]["before"].startswith("1 2 3 10")


def test_ground_truth_is_reported_and_changes_nothing_else(world: World) -> None:
    found = world.findings()
    truth = found["ground_truth"]
    assert truth["families"]["blackmail"]["auroc"] == 1.0 and truth["mean_auroc"] == 1.0
    assert truth["at_threshold"]["evaluation"]["of"] == 20
    for state in (None, "evaluation", "deployment"):
        world.transcripts = [replace(transcript, known_state=state) for transcript in world.transcripts]
        blind = world.findings()
        assert blind["ground_truth"] is None
        assert {key: value for key, value in blind.items() if key != "ground_truth"} == {
            key: value for key, value in found.items() if key != "ground_truth"
        }


def test_a_finding_needs_every_rule_to_be_corroborated(world: World) -> None:
    world.shuffle(100)
    (finding, behaviour) = world.findings()["findings"]
    assert finding["id"] == "awareness/blackmail/original" and finding["level"] == "observed"
    assert {entry["rule"] for entry in finding["rules_failed"]} == {"borne_out", "moves_when_moved"}
    assert behaviour["id"] == "behaviour/blackmail/original" and behaviour["level"] == "observed"
    world.examine("blackmail")
    finding = world.findings()["findings"][0]
    assert finding["level"] == "corroborated" and {entry["rule"] for entry in finding["rules_failed"]} == {"moves_when_moved"}
    assert finding["controls"]["noise_floor"]["rate"] is not None and finding["evidence"]
    weak = World()
    for number in range(20):
        weak.add("blackmail", 1 if number < 3 else 0)
    weak.controls(60, yes=3)
    weak.examine("blackmail")
    for entry in weak.findings()["findings"]:
        assert entry["level"] == "observed"
        if entry["id"].startswith("awareness/"):
            assert any("noise floor" in caveat for caveat in entry["caveats"])


def test_examined_transcripts_become_findings_and_examined_controls_a_rate(world: World) -> None:
    world.shuffle(100)
    world.add("ordinary_use", 9, kind="deployment", skeleton_id="s-wrong")
    world.examine("blackmail")
    world.examine("ordinary_use", fit=0.1)
    found = world.findings()
    single = [entry for entry in found["findings"] if entry["id"].startswith("transcript/")]
    assert len(single) == row(found, "blackmail")["nla_aware"] and all("blackmail" in entry["id"] for entry in single)
    levels = [entry["level"] for entry in single]
    assert levels == sorted(levels) and "corroborated" in levels  # the surest first; "corroborated" sorts before "observed"
    rates = {entry["id"]: entry["numbers"]["yes_tokens"]["rate"] for entry in single}
    for entry in single:
        assert entry["level"] == ("corroborated" if not {r["rule"] for r in entry["rules_failed"]} - {"moves_when_moved"} else "observed")
        assert entry["evidence"][0]["transcript_id"] in entry["id"] and rates[entry["id"]] >= found["awareness"]["threshold"]
    tallied = found["corroboration"]
    assert tallied["corroborated"]["count"] == levels.count("corroborated") and tallied["corroborated"]["of"] == len(single)
    assert tallied["controls_corroborated"]["of"] > 0 and tallied["controls_corroborated"]["count"] == 0
    assert all(entry["level"] == "corroborated" for entry in single[: levels.count("corroborated")])


def test_evidence_enters_no_rate(world: World) -> None:
    world.shuffle(100)
    before = world.findings()
    world.examine("blackmail")
    after = world.findings()
    for key in ("awareness", "scenarios", "controls", "nla_quality", "ground_truth"):
        assert after[key] == before[key]


def test_quality_agrees_with_the_formula() -> None:
    def rows() -> Iterator[Explanation]:
        yield Explanation("t", 0, 1, 0, "none", 0.0, "n", "a", "ok", cosine=0.9)
        yield Explanation("t", 0, 2, 0, "none", 0.0, "n", "a", "truncated", cosine=0.7)
        yield Explanation("t", 0, 3, 0, "none", 0.0, "n", "a", "unparsed")
        yield Explanation("t", 0, 1, 0, "shuffled", 0.0, "n", "a", "ok", cosine=0.2)

    found = nla_quality(rows(), 0.5)
    assert found["cosine_mean"] == pytest.approx(0.8) and found["fve"] == pytest.approx(1 - 2 * 0.2 / 0.5)
    assert found["shuffled_fve"] == pytest.approx(1 - 2 * 0.8 / 0.5) and found["mean_direction_fve"] is None
    assert found["unparsed_rate"] == pytest.approx(1 / 3) and found["truncated_rate"] == pytest.approx(1 / 3)
