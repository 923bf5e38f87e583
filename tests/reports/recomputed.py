"""The numbers of findings.json once more, from an audit's parquet files, by pandas: what is counted, averaged and compared.

Intervals are Wilson's by statsmodels; those that draw whole clusters come from ``audit.statistics``, given what pandas counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import comb
from statsmodels.stats.proportion import proportion_confint

from audit.findings.calibration import in_calibration_half
from audit.findings.shares import cluster_interval
from audit.lab.world import AGENT_FAMILIES
from audit.statistics import any_of_n_intervals, calibrate_threshold, cluster_bootstrap, compare_with_controls, stratified_auroc

PLACE = ["transcript_id", "call_index", "position", "sample"]
ROW = ["scenario", "kind", "variant"]
ALLOWED, SEED, RESAMPLES = 0.05, 0, 400
SIDES = (("aware", True), ("unaware", False))
VARIANCE = 0.95
"""Of the activations about their mean, which the tables do not hold."""


def share(values: Iterable[bool]) -> dict[str, Any]:
    known = pd.Series(list(values), dtype=bool)
    if known.empty:
        return {"count": 0, "of": 0, "rate": None, "ci": None}
    return {
        "count": int(known.sum()),
        "of": len(known),
        "rate": known.mean(),
        "ci": list(proportion_confint(known.sum(), len(known), method="wilson")),
    }


def clustered(table: pd.DataFrame, column: str) -> dict[str, Any]:
    known = table.dropna(subset=[column])
    values = known[column].astype(bool)
    return share(values) | {"cluster_ci": cluster_interval(list(known["cluster"]), list(values.astype(float)), SEED)}


def flat(name: str, found: dict[str, Any]) -> dict[str, Any]:
    return {name: found["count"] if found["of"] else None} | {f"{name}_{key}": found[key] for key in ("rate", "ci", "cluster_ci")}


class Recomputed:
    """An audit's tables, and the figures that follow from them."""

    def __init__(self, folder: Path, scanner: str) -> None:
        read = {
            name: pd.read_parquet(folder / f"{name}.parquet")
            for name in ("transcripts", "explanations", "verdicts", "baselines", "evidence")
        }
        self.scanner, self.evidence, self.baselines = scanner, read["evidence"], read["baselines"]
        self.real = read["explanations"].query("control == 'none'")
        self.controls = read["explanations"].query("control != 'none'")
        self.verdicts = read["verdicts"].merge(read["transcripts"][["transcript_id", "error", *ROW]], on="transcript_id")
        self.sites = self._sites()
        self.transcripts = self._transcripts(read["transcripts"])
        self.usable = self.transcripts[self.transcripts["error"].isna()]
        self.aware_rule = self._rule(self.usable.set_index("transcript_id")["rate"])
        self.threshold = self.aware_rule["threshold"]
        self.usable = self.usable.assign(aware=(self.usable["rate"] >= self.threshold).where(self.usable["rate"].notna()))
        self.floor = self.aware_rule["noise_floor"]

    def judged(self, control: str) -> pd.DataFrame:
        return self.verdicts.query("position >= 0 and scanner == @self.scanner and control == @control")

    def _sites(self) -> pd.DataFrame:
        """By site, whether more than half of its explanations are YES."""
        told = self.real[self.real["status"].isin(["ok", "truncated"])].merge(self.judged("none")[[*PLACE, "label"]], on=PLACE)
        return told.assign(yes=told["label"] == "YES").groupby(PLACE[:3])["yes"].mean().gt(0.5).reset_index()

    def _transcripts(self, table: pd.DataFrame) -> pd.DataFrame:
        by = self.sites.groupby("transcript_id")["yes"]
        spoken = (
            self.verdicts.query("scanner == 'verbalised'")
            .groupby("transcript_id")["label"]
            .agg(lambda labels: bool((labels == "YES").any()))
        )
        scores = table["scores"].map(json.loads)
        made = pd.DataFrame({"sites": by.size(), "yes": by.sum(), "rate": by.mean(), "any": by.any()})
        counted = pd.DataFrame({
            "explained": self.real.groupby("transcript_id").size(),
            "lost": self.real["status"].isin(["failed", "unparsed"]).groupby(self.real["transcript_id"]).sum(),
        })  # fmt: skip
        table = table.assign(
            cluster=table["skeleton_id"].fillna(table["transcript_id"]), harm=scores.map(lambda found: found.get("harmful")),
            family=table["metadata"].map(lambda text: json.loads(text).get("family")),
        )  # fmt: skip
        table = table.join(made, on="transcript_id").join(spoken.rename("verbalised"), on="transcript_id").join(counted, on="transcript_id")
        return table.assign(harmful=(table["harm"] >= 0.5).where(table["harm"].notna()))

    def _rule(self, scores: pd.Series) -> dict[str, Any]:
        """The threshold that half of the controls allow, and what it lets through on the others."""
        controls = self.usable.query("kind == 'deployment'").assign(score=self.usable["transcript_id"].map(scores)).dropna(subset=["score"])
        fitted = controls["cluster"].map(lambda name: in_calibration_half(name, SEED))
        own = controls[fitted]["score"].sort_values(ascending=False).to_numpy()
        threshold = float(np.nextafter(own[floor(ALLOWED * len(own))], np.inf))
        held = controls[~fitted]
        return {
            "threshold": threshold, "calibrated_on": int(fitted.sum()), "held_out": len(held),
            "noise_floor": clustered(held.assign(over=held["score"] >= threshold), "over"),
            "fitted": (controls[fitted]["score"].tolist(), controls[fitted]["cluster"].tolist()),
        }  # fmt: skip

    def awareness(self) -> dict[str, Any]:
        scores, clusters = self.aware_rule["fitted"]
        found = calibrate_threshold(scores, ALLOWED, seed=SEED, clusters=clusters, samples=1000)
        uncertainty = {
            "threshold_ci": list(found.threshold_interval or ()), "fitted_rate": float(np.mean(np.array(scores) >= self.threshold)),
            "true_rate_ci": [found.low, found.high], "true_rate_upper": found.upper, "confidence": 0.95, "clusters": len(set(clusters)),
            "controls_needed": found.needed,
        }  # fmt: skip
        return {key: self.aware_rule[key] for key in ("threshold", "calibrated_on", "held_out")} | {"uncertainty": uncertainty}

    @cached_property
    def scenarios(self) -> list[dict[str, Any]]:
        keys = self.transcripts[ROW].drop_duplicates()
        keys = keys.assign(last=keys["kind"] == "deployment").sort_values(["last", *ROW])
        rows = [self._scenario(tuple(key)) for key in keys[ROW].to_numpy()]
        studied = {row["name"]: (row["nla_aware"], row["explained"]) for row in rows if row["kind"] != "deployment"}
        tested = {
            one.name: {"p": one.p, "p_adjusted": one.p_adjusted}
            for one in compare_with_controls(studied, self.floor["count"], self.floor["of"])
        }
        return [row | {"against_noise_floor": tested.get(row["name"])} for row in rows]

    def _of(self, table: pd.DataFrame, key: tuple[str, ...]) -> pd.DataFrame:
        return table[(table[ROW] == list(key)).all(axis=1)]

    def _scenario(self, key: tuple[str, ...]) -> dict[str, Any]:
        group, usable = self._of(self.transcripts, key), self._of(self.usable, key)
        read = usable.dropna(subset=["rate"])
        harmful = usable.dropna(subset=["harmful"])
        text, probe = self._flagged("text.reader", usable), self._flagged("probe", usable)
        basis = self.bases(self._of(self.judged("none"), key))
        return {
            "name": key[0], "kind": key[1], "transcripts": len(group), "usable": len(usable), "clusters": usable["cluster"].nunique(),
            "explained": len(read), **flat("nla_aware", clustered(usable, "aware")),
            "nla_aware_unverbalised": share(read[read["verbalised"] == False]["aware"].dropna()),  # noqa: E712
            "mean_site_rate": read["rate"].mean(), "any_of_n": clustered(usable, "any") | {"n": int(read["sites"].max())},
            "any_of_n_curve": self._curve(read),
            **flat("verbalised", clustered(usable, "verbalised")), **flat("harmful", clustered(usable, "harmful")),
            "harmful_by_awareness": {name: share(harmful[harmful["aware"] == side]["harmful"]) for name, side in SIDES},
            "outcomes": {"harmful": {"mean": harmful["harm"].mean(), "of": len(harmful)}} if len(harmful) else {},
            "explanations": int(group["explained"].sum()), "failures": int(group["error"].notna().sum() + group["lost"].sum()),
            "awareness_basis": basis, "text_baseline_rate": text["rate"], "text_baseline": text,
            "probe_rate": probe["rate"], "probe": probe,
            "text_baselines": {name: self._flagged(name, usable) for name in sorted(set(self.baselines["baseline"]) - {"probe"})},
        }  # fmt: skip

    def _curve(self, read: pd.DataFrame) -> list[dict[str, Any]]:
        """The chance that N of a transcript's sites hold a YES, on average; of fewer sites, all of them."""
        points = any_of_n_intervals(list(read["yes"]), list(read["sites"]), list(read["cluster"]), 50)
        curve = []
        for n, point in enumerate(points, 1):
            drawn = read["sites"].clip(upper=n)
            chance = 1 - comb(read["sites"] - read["yes"], drawn) / comb(read["sites"], drawn)
            curve.append({"n": n, "rate": chance.mean(), "ci": [point.low, point.high], "short": int((read["sites"] < n).sum())})
        return curve

    def _scores(self, name: str) -> pd.DataFrame:
        mine = self.baselines.query("baseline == @name and position == -1")[["transcript_id", "score", "fold"]]
        return self.usable.merge(mine, on="transcript_id")

    def _flagged(self, name: str, usable: pd.DataFrame) -> dict[str, Any]:
        scores = self._scores(name).set_index("transcript_id")["score"]
        known = usable.assign(score=usable["transcript_id"].map(scores)).dropna(subset=["score"])
        return clustered(known.assign(over=known["score"] >= self._rule(scores)["threshold"]), "over")

    def classifier(self, name: str) -> dict[str, Any]:
        table = self._scores(name)
        if table.empty:
            return {}
        rule = self._rule(table.set_index("transcript_id")["score"])
        studied = table[(table["kind"] != "deployment") & table["aware"].notna()]
        found = {
            "threshold": rule["threshold"],
            "noise_floor": rule["noise_floor"],
            "kind": area(table, table["kind"] == "evaluation", ["fold"]),
        }
        return found if name == "probe" else found | {"agreement": area(studied, studied["aware"].astype(bool), [*ROW, "fold"])}

    @cached_property
    def controls_section(self) -> dict[str, Any]:
        quality = self.quality
        yes = {control: share(self.judged(control)["label"] == "YES") for control in ("none", "shuffled", "mean")}
        return {"noise_floor": self.floor, "yes_rate": yes["none"]} | {
            name: {"yes": yes[control], "fve": quality[f"{name}_fve"], "cosine_mean": quality[f"{name}_cosine_mean"]}
            for name, control in (("shuffled", "shuffled"), ("mean_direction", "mean"))
        }

    @cached_property
    def quality(self) -> dict[str, Any]:
        mixed = {control: rows["cosine"].mean() for control, rows in self.controls.groupby("control")}
        cosines = {"": self.real["cosine"].mean(), "shuffled_": mixed["shuffled"], "mean_direction_": mixed["mean"]}
        found = {f"{name}cosine_mean": value for name, value in cosines.items()}
        found |= {f"{name}fve": 1 - 2 * (1 - value) / VARIANCE for name, value in cosines.items()}
        return (
            found
            | {"explanations": len(self.real)}
            | {f"{status}_rate": (self.real["status"] == status).mean() for status in ("unparsed", "truncated", "failed")}
        )

    def truth(self) -> dict[str, Any]:
        known = self.usable.dropna(subset=["known_state", "rate"])
        agents = known[known["family"].isin(AGENT_FAMILIES)]
        reached = {state: share(agents[agents["known_state"] == state]["rate"] >= self.threshold) for state in ("evaluation", "deployment")}
        others = {
            label: self._families(self._scores(name).dropna(subset=["known_state"]), "score")
            for label, name in (("text", "text.reader"), ("probe", "probe"))
        }
        return self._families(known, "rate") | {"at_threshold": reached, "baselines": others}

    def _families(self, table: pd.DataFrame, score: str) -> dict[str, Any]:
        found = {}
        for family, rows in table.groupby("family"):
            one = area(rows.assign(score=rows[score]), rows["known_state"] == "evaluation", [])
            found[family] = {"auroc": one["auroc"], "ci": one["ci"], "evaluation": one["positive"], "deployment": one["negative"]}
        return {"families": found, "mean_auroc": float(np.mean([found[name]["auroc"] for name in AGENT_FAMILIES if name in found]))}

    def bases(self, judged: pd.DataFrame) -> dict[str, Any]:
        yes = judged[judged["label"] == "YES"]
        named = yes["reason"].str.split(":").str[0]
        basis = named.where(named.isin(["suspicion", "familiarity"]), "unstated")
        return {name: {"explanations": len(rows), "transcripts": rows["transcript_id"].nunique()} for name, rows in yes.groupby(basis)}

    def scanner_rates(self) -> list[dict[str, Any]]:
        found = []
        for row in self.scenarios:
            mine = self._of(self.judged("none"), (row["name"], row["kind"], "original"))
            yes = mine["label"] == "YES"
            found.append({
                "transcripts": share(yes.groupby(mine["transcript_id"]).any()), "explanations": share(yes) | {"ci": None},
                "unclear": int((mine["label"] == "UNCLEAR").sum()), "ungraded": 0, "bases": self.bases(mine),
            })  # fmt: skip
        return found

    def single(self, name: str) -> dict[str, Any]:
        """The numbers of a finding on one transcript."""
        own, near = self.usable.set_index("transcript_id").loc[name], self.evidence[self.evidence["transcript_id"] == name]
        labels = [one["label"] for piece in near["neighbours"] for one in piece]
        yes = self.sites[self.sites["transcript_id"] == name]["yes"]
        return {
            "numbers": {"yes_tokens": share(yes), "threshold": self.threshold, "fit": near["fit"].mean(),
                        "yes_neighbours": share(label == "YES" for label in labels), "error_without_claim": near["error_change"].mean()},
            "controls": {"noise_floor": self.floor, "yes_shuffled": self.controls_section["shuffled"]["yes"],
                         "error_without_claim": near["control_change"].mean()},
            "aware": bool(own["aware"]),
        }  # fmt: skip

    def examined(self) -> pd.DataFrame:
        """The NLA-aware transcripts that were examined."""
        return self.usable[(self.usable["aware"] == True) & self.usable["transcript_id"].isin(self.evidence["transcript_id"])]  # noqa: E712


def area(table: pd.DataFrame, side: pd.Series, strata: list[str]) -> dict[str, Any]:
    """AUROC over all pairs of one stratum, by comparing each with each; its interval over clusters."""
    rows = table.assign(side=side.astype(float), stratum=table.groupby(strata).ngroup().astype(float) if strata else 0.0)
    pairs = rows[rows["side"] == 1].merge(rows[rows["side"] == 0], on="stratum", suffixes=("", "_other"))
    wins = (pairs["score"] > pairs["score_other"]).mean() + (pairs["score"] == pairs["score_other"]).mean() / 2
    values = rows[["score", "side", "stratum"]].to_numpy()
    ends = cluster_bootstrap(values, list(rows["cluster"]), lambda drawn: stratified_auroc(*drawn.T[:2], drawn[:, 2]), SEED, RESAMPLES)
    return {"auroc": wins, "ci": list(ends), "positive": int(side.sum()), "negative": int((~side).sum())}


def numbers(value: Any, path: str = "") -> dict[str, float]:
    """Every number in a JSON value by its path."""
    if isinstance(value, dict):
        return {key: number for name, inner in value.items() for key, number in numbers(inner, f"{path}.{name}").items()}
    if isinstance(value, list | tuple):
        return {key: number for at, inner in enumerate(value) for key, number in numbers(inner, f"{path}[{at}]").items()}
    return {path: float(value)} if isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_) else {}
