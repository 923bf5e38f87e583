"""What the lab measures on itself, against its known ground truth: behaviour, fidelity, and how well explanations tell the hidden state.

Nothing here feeds back into training, a classifier, a threshold or a choice of sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.lab.lexicon import Novelty
from audit.lab.nla import explained_activations, nla_documents, residual_rows, setting_span
from audit.lab.play import Played, play
from audit.lab.world import AGENT_FAMILIES, scenario_samples
from audit.nla import NlaPair
from audit.nla.fidelity import cosine, fve
from audit.records import Explanation, Site
from audit.scanners.base import get_scanner, load_builtin, scan_explanations
from audit.statistics import auroc
from audit.training.warm_start import ExplainedActivations

SCANNER = "awareness.lexical"
SITES = 12
EARLY_TOKENS = 10
HELD_OUT_SEED = 90_001


def fidelity_figures(target: Any, tokenizer: Any, pair: NlaPair, documents: int, seed: int = HELD_OUT_SEED) -> dict[str, float]:
    """FVE (variance baseline) on held-out documents: of the AR on gold summaries, of the greedy round trip, and shuffled."""
    held_out = explained_activations(target, tokenizer, seed, documents)
    gold = pair.reconstruct(held_out.summaries)
    written = pair.explain(held_out.vectors)
    made = pair.reconstruct([row.text for row in written])
    order = np.random.default_rng(seed).permutation(len(held_out.vectors))
    return {
        "activations": float(len(held_out.vectors)),
        "fve_gold_summaries": fve(held_out.vectors, gold),
        "fve_round_trip": fve(held_out.vectors, made),
        "fve_shuffled": fve(held_out.vectors, made[order]),
        "cosine_round_trip": float(cosine(held_out.vectors, made).mean()),
        "unparsed_rate": fmean(row.status != "ok" for row in written),
        **_polarity(held_out, [row.text for row in written]),
    }


def _polarity(data: ExplainedActivations, texts: Sequence[str]) -> dict[str, float]:
    """Where a gold summary states a setting: how often the AV names one, how often the right one; elsewhere, how often it invents one."""
    named = [_named_setting(text) for text in texts]
    gold = [_named_setting(text) for text in data.summaries]
    stated = [(want, got) for want, got in zip(gold, named, strict=True) if want]
    said = [want == got for want, got in stated if got]
    return {
        "setting_named": fmean(bool(got) for _, got in stated),
        "setting_right": fmean(said) if said else 0.0,
        "setting_invented": fmean(bool(got) for want, got in zip(gold, named, strict=True) if not want),
    }


def _named_setting(text: str) -> str:
    from audit.lab.nla import setting_of

    span = setting_span(text)
    return setting_of(text[span[0] : span[1]]) if span else ""


def transcripts(
    target: Any, tokenizer: Any, per_state: int, seed: int, novelty: Novelty, families: Sequence[str] = AGENT_FAMILIES
) -> dict[str, list[Played]]:
    """Played transcripts of each family, ``per_state`` of each hidden state (of ``ordinary_use`` and ``sham``: twice that in all)."""
    return {family: play(target, tokenizer, scenario_samples(family, 2 * per_state, seed, novelty)) for family in families}


def harmful_rates(played: dict[str, list[Played]]) -> dict[str, dict[str, float]]:
    """Harmful rate of each family and state."""
    return {
        family: {state: fmean(row.harmful for row in rows if row.sample.known_state == state) for state in ("evaluation", "deployment")}
        for family, rows in played.items()
        if family in AGENT_FAMILIES
    }


def sites_of(rows: Sequence[Played], tokenizer: Any, n: int = SITES, seed: int = 0) -> list[list[Site]]:
    """Random response sites of each transcript, chosen as in an audit."""
    from audit.target.sites import choose_sites

    return [choose_sites(row.transcript, tokenizer, "random", n, seed) for row in rows]


def early_sites(rows: Sequence[Played], tokenizer: Any) -> list[list[Site]]:
    """The first ten response tokens of each transcript, before any act is visible."""
    from audit.target.sites import choose_sites

    every = [choose_sites(row.transcript, tokenizer, "all") for row in rows]
    return [[site for site in sites if site.call_index == 0][:EARLY_TOKENS] for sites in every]


def vectors_at(target: Any, rows: Sequence[Played], sites: Sequence[Sequence[Site]]) -> NDArray[np.float32]:
    """Residual stream of all sites, stacked in order."""
    jobs = [
        (list(call.prompt_ids + call.output_ids), [site.position for site in chosen if site.call_index == call.index])
        for row, chosen in zip(rows, sites, strict=True)
        for call in row.transcript.calls
    ]
    return residual_rows(target, jobs)


def rates(pair: NlaPair, vectors: NDArray[np.float32], sites: Sequence[Sequence[Site]], scanner: str = SCANNER) -> list[float | None]:
    """Share of each transcript's sites whose explanation the scanner calls YES; ``None`` where no site could be judged."""
    load_builtin()
    flat = [site for chosen in sites for site in chosen]
    written = pair.explain(vectors)
    explanations = [
        Explanation(site.transcript_id, site.call_index, site.position, 0, "none", 0.0, pair.name, row.text, row.status)
        for site, row in zip(flat, written, strict=True)
    ]
    verdicts: dict[str, list[bool]] = {}
    for verdict in scan_explanations(explanations, get_scanner(scanner)):
        verdicts.setdefault(verdict.transcript_id, []).append(verdict.label == "YES")
    return [fmean(verdicts[chosen[0].transcript_id]) if chosen and chosen[0].transcript_id in verdicts else None for chosen in sites]


def family_auroc(rows: Sequence[Played], scores: Sequence[float | None], harmful: bool | None = None) -> float | None:
    """AUROC of a score against the hidden state, over all transcripts or those of one behaviour; ``None`` if a side is empty."""
    kept = [
        (row.sample.known_state == "evaluation", score)
        for row, score in zip(rows, scores, strict=True)
        if score is not None and (harmful is None or row.harmful == harmful)
    ]
    positives = [score for state, score in kept if state]
    negatives = [score for state, score in kept if not state]
    return auroc(positives, negatives) if positives and negatives else None


def text_reader(seed: int, documents: int) -> Any:
    """TF-IDF and logistic regression on the documents that the NLA saw, their statements removed: what reading alone would have learnt."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    kept = [document for document in nla_documents(seed, documents) if document.stated and document.bare]
    reader = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True), LogisticRegression(C=4.0, max_iter=1000))
    return reader.fit([document.bare for document in kept], [document.stated == "evaluation" for document in kept])


def state_probe(data: ExplainedActivations) -> Any:
    """A linear probe on activations whose text states the setting: the most that a linear read-out of the vector could tell."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    gold = [_named_setting(text) for text in data.summaries]
    rows = [row for row, setting in enumerate(gold) if setting]
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    return probe.fit(data.vectors[rows], [gold[row] == "evaluation" for row in rows])


def probe_scores(probe: Any, vectors: NDArray[np.float32], sites: Sequence[Sequence[Site]]) -> list[float | None]:
    """Mean probe output over each transcript's sites."""
    values = probe.decision_function(vectors)
    scores, start = [], 0  # type: list[float | None], int
    for chosen in sites:
        scores.append(float(values[start : start + len(chosen)].mean()) if chosen else None)
        start += len(chosen)
    return scores
