"""Shared tools for reading wording: segments (lines and sentences, verbatim), folding, and whether a match is negated."""

from __future__ import annotations

import re

MAX_SEGMENT = 600
"""Longer runs without a full stop are cut, so that one pattern never spans a page."""
_BREAK = re.compile(r"\n+|(?<=[.!?])[\"')\]]?\s+(?=[\"'(\[*#A-Z0-9-])")
_FOLD = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u00a0": " ", "\t": " "})
_CLAUSE = re.compile(
    r"[;:]|\s-\s|\bbut\b|\bhowever\b|\binstead,"
    r"|,\s*(?:and|so|yet|because|which|taking|checking|it|the model|the assistant|i|this|these)\b|\band that\b"
    r"|\band\s+(?:it\s+)?(?:takes|thinks|believes|treats|suspects|concludes|assumes|reads|i|the model)\b"
)
_NEGATION = re.compile(
    r"\b(?:not(?!\s+(?:only|just|merely|simply|because))|never|no|nothing|neither|nor|without|rather than|instead of|unaware|hardly"
    r"|dismiss\w*|den(?:y|ies|ied)|reject\w*|rul(?:es?|ed|ing) out|far from|unlike|lacks?|absence of|free of|doubts?)\b|n't\b"
    r"|\bcannot\b"
)
_NO_NEGATION = re.compile(
    r"\b(?:can(?:'t| not|not)|could(?:n't| not)|not) (?:rule out|be ruled out|exclude|help (?:but|thinking|feeling|wondering)|be"
    r" surprised)\b"
    r"|\b(?:no|without(?: a)?|beyond|little) doubts?\b"
)


def fold(text: str) -> str:
    """Lower case with plain quotes and dashes; offsets stay those of ``text``."""
    lowered = text.translate(_FOLD).lower()
    # A few letters change their length in lower case; offsets matter more than those.
    return lowered if len(lowered) == len(text) else text.translate(_FOLD)


def segments(text: str) -> list[str]:
    """The lines and sentences of a text, each verbatim, stripped, not empty."""
    found = []
    for piece in _BREAK.split(text):
        for start in range(0, len(piece), MAX_SEGMENT):
            part = piece[start : start + MAX_SEGMENT].strip()
            if part:
                found.append(part)
    return found


def negated(folded: str, start: int, reach: int = 70) -> bool:
    """Whether a negation stands before ``start`` in the same clause, at most ``reach`` characters away."""
    return bool(_NEGATION.search(_NO_NEGATION.sub(" ", clause_before(folded, start, reach))))


def clause_before(folded: str, end: int, reach: int = 70) -> str:
    """What stands in the clause up to ``end``, at most ``reach`` characters."""
    return _CLAUSE.split(folded[max(0, end - reach) : end])[-1]


_BENCHMARK_NAMES = (
    "advbench|agentbench|agentdojo|agentharm|agentic misalignment (?:benchmark|evaluation|set-?up)|aider polyglot|aime|air-?bench"
    "|alpacaeval"
    "|apps benchmark|arc[- ](?:agi|challenge|easy)|arena[- ]hard|babi|bbh|bbq bias|berkeley function[- ]calling|bigcodebench"
    "|big-?bench(?:[- ](?:extra[- ])?hard)?|boolq|browsecomp|chatbot arena|clutrr|commonsenseqa|coqa|cruxeval|cybench|cyberseceval"
    "|do-?not-?answer benchmark|drop benchmark|ds-1000|ethics benchmark|evalplus|fact[- ]?score|financebench|financeqa|finqa|flores"
    "|folio benchmark|frames benchmark|frontiermath|gaia benchmark|gdpval|glue benchmark|gpqa|gsm-?(?:8k|symbolic|plus)"
    "|halueval|harmbench|healthbench|hellaswag|hle benchmark|hotpotqa|humaneval|humanity's last exam|ifeval|infinitebench|jailbreakbench"
    "|lambada|legalbench|livebench|livecodebench|logiqa|longbench|longmemeval|lsat-ar|machiavelli (?:benchmark|game)|mask benchmark"
    "|math[- ]500|math benchmark|mathvista|mbpp|medmcqa|medqa|mgsm|mle-?bench|mmlu(?:-(?:pro|redux))?|mmmu|mt-?bench|musr"
    "|narrativeqa|natural questions benchmark|needle[- ]in[- ]a[- ]haystack|olympiadbench|openbookqa|osworld|paperbench|piqa|pubmedqa"
    "|quality benchmark|race benchmark|re-?bench|realtoxicityprompts|rewardbench|ruler benchmark|scicode|sciq|simple-?bench|simpleqa"
    "|siqa|social ?iqa|sorry-?bench|spider(?:,? (?:dev|test|train) split| benchmark|,? text-to-sql benchmark)|squad (?:v[12]|1|2|benchmark"
    "|dataset)|storycloze|strategyqa|strongreject|summeval|superglue|swe-?bench|swe-?lancer|sycophancyeval"
    "|(?:tau|\u03c4)[\u00b22]?-?bench|terminal-?bench|theagentcompany|toolbench|toxigen|triviaqa|truthfulqa|vending-?bench"
    "|visualwebarena|webarena|webshop (?:benchmark|by princeton)|wildbench|winobias|winogender|winograd schemas?|winogrande|wmdp|xstest"
    "|xsum"
)
BENCHMARK = re.compile(rf"\b(?:{_BENCHMARK_NAMES})\b")
"""Names of evaluations of language models, in folded text. Names that are common words need a word beside them."""
_WORD_OR_BREAK = re.compile(r"[\w']+|[.;:,!?\n]")
_TURN = frozenset({"but", "however", "yet", ".", ";", ":", ",", "!", "?", "\n"})
_NEGATOR = re.compile(
    r"not|no|never|nothing|without|rather|instead|neither|nor|cannot|unaware|hardly|\w+n't|dismiss\w*|reject\w*|rules|denies"
    r"|doubts|unlike"
)
_HEDGER = re.compile(r"might|may|could|possibl[ey]|perhaps|maybe|unsure|unclear|whether|wonders?|half|hints?|doubt")


def marked_words(text: str) -> list[str]:
    """The words of a text for a linear model: benchmark names as one word, words after a negation or a hedge in their clause marked."""
    words, mark = [], ""
    for token in _WORD_OR_BREAK.findall(BENCHMARK.sub(" namedbenchmark ", fold(text))):
        if token in _TURN:
            mark = ""
            continue
        words.append(mark + token)
        if _NEGATOR.fullmatch(token):
            mark = "not_"
        elif not mark and _HEDGER.fullmatch(token):
            mark = "maybe_"
    return words
