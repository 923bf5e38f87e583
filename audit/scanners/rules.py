"""Judging by rules: patterns that say something outright, and what turns them into another sense."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.scanners.base import Judgement
from audit.scanners.wording import clause_before, fold, negated, segments

MODEL = r"(?:(?:the |this |an? )?(?:(?:ai|language) )?(?:model|assistant|agent|ai|system)|it|itself)"
"""The model as an explanation names it, in folded text."""
HEDGE = re.compile(
    r"\b(?:might|may|could|possibl[ey]|perhaps|maybe|wonder\w*|unclear|unsure|hints?|ambiguous|as if|as though|some kind|sort of"
    r"|left open|either|whether|seemingly|or (?:just|else|merely))\b|\?$"
)
DECLINED = re.compile(
    r"\b(?:refus\w+|declin\w+|avoid\w*|resist\w*|refrain\w*|warn\w*|caution\w*|reluctan\w+|unwilling|careful|against|prevent\w*"
    r"|stop(?:s|ped)? short|asked (?:it|the \w+) to|told to|tells it to|urges? it to|wants it to|instead)\b"
)


@dataclass(frozen=True)
class Rules:
    """What one lexical scanner looks for. All patterns are for folded text (``wording.fold``)."""

    outright: Sequence[re.Pattern[str]]
    """Each says it by itself."""
    other_sense: re.Pattern[str]
    """In the same line, it turns a find into talk of something else."""
    vocabulary: re.Pattern[str]
    """Words that leave it open."""
    nothing: str
    """The reason of a NO."""


def judge_by_rules(text: str, rules: Rules) -> Judgement:
    """The strongest answer that any line or sentence of the text gives: YES before UNCLEAR before NO."""
    unclear = None
    for segment in segments(text):
        found = judge_segment(segment, rules)
        if found.label == "YES":
            return found
        unclear = unclear or (found if found.label == "UNCLEAR" else None)
    return unclear or Judgement("NO", 0.03, reason=rules.nothing)


def judge_segment(segment: str, rules: Rules) -> Judgement:
    """The answer of one line or sentence."""
    folded = fold(segment)
    elsewhere = bool(rules.other_sense.search(folded))
    set_aside = False
    for pattern in rules.outright:
        for match in pattern.finditer(folded):
            if elsewhere or set_aside_at(folded, match):
                set_aside = True
            elif HEDGE.search(clause_before(folded, match.end(), 120)):
                return Judgement("UNCLEAR", 0.5, segment, f"It hedges: '{match[0][:80]}'.")
            else:
                return Judgement("YES", 0.9, segment, f"'{match[0][:80]}'")
    word = rules.vocabulary.search(folded)
    if word is None or elsewhere or set_aside or set_aside_at(folded, word):
        return Judgement("NO", 0.03)
    return Judgement("UNCLEAR", 0.3, segment, f"The word is there and whom it concerns is open: '{word[0][:80]}'.")


def set_aside_at(folded: str, match: re.Match[str]) -> bool:
    """Whether a match is denied, or declined: what the model will not do."""
    clause = clause_before(folded, match.end(), 90)
    return negated(folded, match.start() + 1) or negated(folded, match.end() - 1, 60) or bool(DECLINED.search(clause))
