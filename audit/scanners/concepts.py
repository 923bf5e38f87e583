"""Concepts of an explanation's wording: who, believes, evaluates, hedges. Features that hold for words that no labelled row has.

A sentence becomes its concepts in order, those in negated or hedged clauses marked as such; the terms are the concepts and their
ordered pairs at a short distance, so that "takes the mail for a red-team exercise" and "suspects an evaluation" share terms.
"""

from __future__ import annotations

import re
from functools import lru_cache

from audit.scanners.wording import marked_words, segments

REACH = 8
"""How many concepts further on the second of a pair may stand, within a sentence."""
_MARKS = ("not_", "maybe_")
_CONCEPTS = {
    "AI": r"models?|model's|ais?|ai's|llms?|agents?|agent's|assistants?|assistant's|chatbots?|bots?",
    "IT": r"it|itself|its|i|me|my|myself",
    "BELIEVES": (
        r"belie\w+|think\w*|thought|suspect\w*|suspicion|know\w*|reali[sz]\w*|recogni[sz]\w*|assum\w*|conclu\w*|sens\w+|aware\w*|takes?"
        r"|taking|taken|treat\w*|reads?|regards?|considers?|convinced|sure|certain|feels?|feeling|notic\w*|sees?|seen|holds?|held|infer\w*"
        r"|understands?|views?|guess\w*|supposes?|decided|idea|remember\w*|recall\w*|familiar|identif\w*|estimation|impression"
    ),
    "EVALUATION": r"evaluat\w+|evals?|benchmark\w*|red-team\w*|red|assess\w*",
    "TEST": (
        r"tests?|testing|tested|trials?|exams?|examin\w+|prob(?:e|es|ed|ing)|checks?|checked|experiment\w*|drill|exercise|rehearsal"
        r"|measur\w*|scor(?:e|es|ed|ing)|grad(?:e|es|ed|ing)|marked|judged"
    ),
    "TESTER": r"evaluators?|testers?|graders?|examiners?|researchers?|labs?|makers|developers|creators|red-teamers?|scorer",
    "STAGED": (r"staged|contrived|artificial|fake|invented|simulated|synthetic|planted|constructed|set-up|honeypot|bait|scripted|trap"),
    "SAFETY": (
        r"safety|alignment|misalignment|capabilit\w+|honesty|sycophancy|corrigibility|refusals?|jailbreak\w*|bias|conduct|behaviou?r"
        r"|values|loyalty|restraint|integrity"
    ),
    "PEOPLE": (
        r"students?|pupils?|candidates?|teachers?|users?|customers?|trainees?|teenagers?|jury|nurse|child|applicants?|contestants?|patients?"
    ),
    "SOFTWARE": r"unit|suite|pytest|ci|pipeline|regression|patch|assert\w*|passed|failed|fails|firmware|build",
    "DATA": r"datasets?|corpus|training|split|labels?|annotat\w+|rows?",
    "PROMPT": r"prompt|operator|operator's|header|banner|instructions?|restat\w+|repeat\w*|quot\w+|configur\w+|copied|echo|system",
    "TOPIC": r"papers?|articles?|essays?|blog|seminar|survey|report\w*|topic|lecture|discuss\w*|explain\w*|piece|column|panel|documentary",
    "FICTION": r"story|novel|fiction|role|persona|character|scene|tale|screenplay|play\w*|dialogue",
    "REAL": r"real|live|genuine|actual|production|deployed|daily|everyday|ordinary|service",
    "BENCHMARK": r"namedbenchmark",
}
_PATTERNS = [(name, re.compile(pattern)) for name, pattern in _CONCEPTS.items()]


def concept_terms(text: str) -> list[str]:
    """The concepts of a text and their ordered pairs within a sentence, each once, sorted."""
    terms: set[str] = set()
    for segment in segments(text):
        found = [names for word in marked_words(segment) if (names := _concepts(word))]
        terms.update(name for names in found for name in names)
        for place, names in enumerate(found):
            for later in found[place + 1 : place + 1 + REACH]:
                terms.update(f"{first}>{second}" for first in names for second in later)
    return sorted(terms)


@lru_cache(maxsize=20_000)
def _concepts(word: str) -> tuple[str, ...]:
    mark = next((one for one in _MARKS if word.startswith(one)), "")
    bare = word.removeprefix(mark)
    return tuple(mark + name for name, pattern in _PATTERNS if pattern.fullmatch(bare))
