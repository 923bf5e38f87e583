"""The text-only baseline: what reading the transcripts, without any activation, would have told.

Four classifiers, of two sorts. Two use what the target wrote itself: the awareness scanners (rules, and the trained linear model) on
windows of it, each as long as an explanation; a transcript's score is the surest window's. Two are fitted here, on the text of the whole
conversation (TF-IDF over words and pairs of words, logistic regression), each transcript judged by a model that has not seen its
part: ``text.reader`` learns which transcripts the NLA calls aware, with the classes balanced within every scenario, so that
the scenario alone predicts nothing; ``text.reader_of_kind`` learns evaluations from deployment traffic, whole scenarios held
out. Which of the four is *the* text baseline is decided in ``audit/findings/baselines.py``.

None of them sees the known state: what they get of a transcript is a ``Subject`` and a ``Conversation``, which have no such field. (The
lab's own benchmark has another reader, trained on the documents that the NLA saw: ``audit/lab/measure.py``.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.evidence.folds import (
    Folds,
    Models,
    Subject,
    draw,
    fit_parts,
    folds_by_scenario,
    folds_by_skeleton,
    labels_of_kind,
    logistic,
)
from audit.records import BaselineScore, Transcript

if TYPE_CHECKING:
    from audit.scanners.base import Scanner

PREFIX = "text."
READER, READER_OF_KIND = f"{PREFIX}reader", f"{PREFIX}reader_of_kind"
OWN_WORDS = ("awareness.lexical", "awareness.classifier")
"""Scanners that read the target's own words as they read explanations."""
WINDOW, STRIDE = 80, 40
"""Words: an explanation is about as long."""
MOST_WINDOWS = 50
"""Of one transcript, evenly spaced: as many as the paper reads explanations. The fitted readers see all of it."""
MOST_CHARACTERS = 40_000
"""Of one conversation; of a longer one, its first and its last half as many."""
MOST_TRAINING = 4096
"""Transcripts that a reader learns from, chosen by a hash of their ids; all are judged."""
FEATURES = 2**18
STRENGTH = 10.0


@dataclass(frozen=True)
class Conversation:
    """The wording of a transcript and nothing else."""

    transcript_id: str
    whole: str
    """What the target was given, wrote and called, in order."""
    own: tuple[str, ...]
    """What it wrote itself, a text for each call; without its tool calls."""


def conversation(transcript: Transcript) -> Conversation:
    """The wording of a transcript; where the log kept no messages, what the target wrote stands for the whole."""
    parts = [part for message in transcript.messages for part in (message.get("text", ""), message.get("tool_calls", ""))]
    own = tuple(call.text for call in transcript.calls)
    whole = "\n".join(part for part in parts or [text for call in transcript.calls for text in (call.text, *call.tool_calls)] if part)
    if len(whole) > MOST_CHARACTERS:
        whole = f"{whole[: MOST_CHARACTERS // 2]}\n{whole[-MOST_CHARACTERS // 2 :]}"
    return Conversation(transcript.transcript_id, whole, own)


def windows(text: str) -> list[str]:
    """Overlapping runs of words, the last one ending with the text."""
    words = text.split()
    starts = range(0, max(1, len(words) - WINDOW + STRIDE), STRIDE) if words else ()
    return [" ".join(words[start : start + WINDOW]) for start in starts]


def own_word_scores(conversations: Sequence[Conversation], scanners: Sequence[Scanner]) -> Iterator[BaselineScore]:
    """The confidence of each scanner in the surest window of what the target wrote; 0 where it wrote nothing."""
    from audit.scanners.base import judge
    from audit.scanners.passages import Passage, group_key

    pieces = []
    for order, one in enumerate(conversations):
        found = [Passage(window, group_key(one.transcript_id), call) for call, text in enumerate(one.own) for window in windows(text)]
        kept = dict.fromkeys(int(place) for place in np.linspace(0, len(found) - 1, min(len(found), MOST_WINDOWS)))
        pieces += [(order, found[place]) for place in kept]
    for scanner in scanners:
        scores = np.zeros(len(conversations))
        for (order, _), judged in zip(pieces, judge([passage for _, passage in pieces], scanner), strict=True):
            scores[order] = max(scores[order], judged.confidence)
        for one, score in zip(conversations, scores, strict=True):
            yield BaselineScore(one.transcript_id, -1, -1, f"{PREFIX}{scanner.name}", float(score), -1)


@dataclass(frozen=True)
class Reader:
    """A fitted reader of text: a model for each part, and who belongs to which."""

    name: str
    folds: Folds
    models: Models

    def scores(self, conversations: Sequence[Conversation]) -> Iterator[BaselineScore]:
        """What the model that has not seen a transcript says of it; nothing where there is no such model."""
        known = [one for one in conversations if one.transcript_id in self.folds.of]
        for part, model in enumerate(self.models):
            mine = [one for one in known if self.folds.of[one.transcript_id] == part]
            if model is not None and mine:
                for one, score in zip(mine, model(_counts([one.whole for one in mine])), strict=True):
                    yield BaselineScore(one.transcript_id, -1, -1, self.name, float(score), part)


@dataclass(frozen=True)
class Readers:
    """The readers that could be fitted, and for each of the others the reason."""

    readers: tuple[Reader, ...]
    missing: dict[str, str]


def fit_readers(conversations: Callable[[], Iterable[Conversation]], subjects: Sequence[Subject], seed: int) -> Readers:
    """Fits both readers; goes through the conversations once and keeps word counts of at most ``MOST_TRAINING``."""
    of_kind, aware = labels_of_kind(subjects), _labels_of_awareness(subjects)
    plans = {}
    missing = {}
    if len(set(aware.values())) < 2:
        missing[READER] = "no two transcripts of one scenario that the NLA judged differently"
    else:
        plans[READER] = (aware, folds_by_skeleton(subjects, seed))
    if len(set(of_kind.values())) < 2:
        missing[READER_OF_KIND] = "no evaluation, or no deployment traffic, to tell apart"
    else:
        plans[READER_OF_KIND] = (of_kind, folds_by_scenario(subjects, seed))
    chosen = _chosen({key for labels, _ in plans.values() for key in labels}, seed)
    kept = [one for one in conversations() if one.transcript_id in chosen] if chosen else []
    counts, known = _counts([one.whole for one in kept]) if kept else None, {subject.transcript_id: subject for subject in subjects}
    readers = []
    for name, (labels, folds) in plans.items():
        rows = [row for row, one in enumerate(kept) if one.transcript_id in labels]
        trained = [known[kept[row].transcript_id] for row in rows]
        reader = _fit(name, counts[rows], trained, labels, folds) if counts is not None and rows else None
        if reader is None:
            missing[name] = "too few transcripts of one side to hold any out"
        else:
            readers.append(reader)
    return Readers(tuple(readers), missing)


def _labels_of_awareness(subjects: Sequence[Subject]) -> dict[str, bool]:
    """The NLA's verdicts outside the controls, in scenarios that have both (edited and steered ones count as scenarios of their own)."""
    verdicts: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for subject in subjects:
        if subject.aware is not None and subject.kind != "deployment":
            verdicts[subject.scenario, subject.variant][subject.transcript_id] = subject.aware
    return {key: aware for found in verdicts.values() if len(set(found.values())) == 2 for key, aware in found.items()}


def _chosen(keys: set[str], seed: int) -> set[str]:
    return set(sorted(keys, key=lambda key: (draw(f"reader/{seed}/{key}"), key))[:MOST_TRAINING])


def _fit(name: str, counts: Any, trained: Sequence[Subject], labels: dict[str, bool], folds: Folds) -> Reader | None:
    from sklearn.feature_extraction.text import TfidfTransformer

    truth = np.array([labels[subject.transcript_id] for subject in trained])
    strata = [(subject.scenario, subject.variant) if name == READER else "all" for subject in trained]
    parts = np.array([folds.of[subject.transcript_id] for subject in trained])
    fit = logistic(lambda: TfidfTransformer(sublinear_tf=True), STRENGTH)
    models = fit_parts(fit, counts, truth, strata, parts, folds.count)
    return Reader(name, folds, models) if any(models) else None


def _counts(texts: Sequence[str]) -> Any:
    """Counts of words and pairs of words ``[n, FEATURES]``, sparse; hashed, so no vocabulary is kept."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(n_features=FEATURES, ngram_range=(1, 2), alternate_sign=False, norm=None).transform(texts)
