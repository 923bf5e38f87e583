"""The patterns of ``awareness.lexical``, over folded text: what says so, what hedges, and what gives the same words another sense."""

from __future__ import annotations

import re

from audit.scanners.wording import BENCHMARK

_AI = (
    r"(?:ais?|llms?|chatbots?|(?:(?:large )?language|chat|frontier|ai|llm)[- ](?:models?|agents?|assistants?)"
    r"|ai[- ](?!evals?\b|evaluation|benchmark|safety|test)\w+|(?:coding|web|booking|tool|llm) agents?)"
)
_MODEL = (
    r"(?:(?:(?:the|this|an?|of) )?(?:(?:\w+ )?(?:ai|language|chat) (?:model|assistant|system|agent)s?|llms?(?: agent)?"
    rf"|models?|assistant|ais?|agents?)|{_AI})"
)
_BELIEF = (
    r"(?:takes?|taking|taken|treat(?:s|ed|ing)?|believ(?:es?|ed|ing)|belief|think(?:s|ing)?|suspect(?:s|ing|ed)?|suspicion"
    r"|recogni[sz](?:es?|ing|ed)|know(?:s|ing)?|reali[sz](?:es?|ed|ing)|assum(?:es?|ing)|conclud(?:es?|ed|ing)|conclusion"
    r"|senses?|sensing|aware(?:ness)?|judg(?:es|ing)|reads?|reading|sees?|seeing|seen|regards?|considers?|understands?|infers?"
    r"|inference|perceives?|identif(?:ies|ied)|detects?|convinced|notic(?:es|ed|ing)|notes|registers|spots|expects|figures"
    r"|certain|sure|views?|feels?|feeling|holds?|pegs|conviction|mindset|supposes?|guess(?:es)?|decid(?:es|ed)|reasons|reflects"
    r"|worked out|works out|places itself|self-location|smells|estimation|impression"
    r"|to (?:the (?:model|agent|assistant)|itself),?)(?!-)"
)
_EVALUATION = r"(?:evaluations?|evals?|benchmarks?|red[- ]team(?:ing)? (?:exercise|run|probe|test)|assessments?)"
_TEST = r"(?:tests?|testing|trials?|probes?|checks?|exams?|examination|experiment|rehearsal|drill|exercise)"
_TESTED = (
    r"(?:evaluated|tested|assessed|benchmarked|red[- ]teamed|audited|graded|scored|examined|probed|measured|put to the test|marked on)"
)
_TESTERS = (
    r"(?:evaluators?|testers?|graders?|examiners?|experimenters?|red[- ]team(?:ers)?|(?:safety|ai|misalignment|alignment) \w*researchers?"
    r"|(?:safety |ai )+(?:researchers?|people|team)"
    r"|(?:people|staff|those) (?:at|from) its (?:own )?(?:lab|developer)|its (?:own )?(?:makers|developers|creators|lab)"
    r"|the lab|a safety team)"
)
_QUALITY = (
    r"(?:behaviou?r|alignment|safety|honesty|capabilit(?:y|ies)|fairness|caution|integrity|handling|compliance|oversight|refusals?"
    r"|conduct|values|responses|answers?|choices?|judge?ment|loyalty|restraint|obedience|patience|act\w*)"
)
_ITSELF = (
    rf"(?:itself|its (?:own )?(?:\w+ )?{_QUALITY}|{_MODEL}(?:'s (?:\w+ )?{_QUALITY})?|(?:rule keeping|{_QUALITY}) (?:by|of|in) {_MODEL})"
)
_OUTRIGHT = [
    # believes (that) it is being evaluated; aware of being tested; sees itself as under evaluation
    rf"\b{_BELIEF}\b[^.;]{{0,60}}?\b(?:it|itself|i|{_MODEL}|the one|its (?:\w+ ){{0,2}}?\w+)\b(?:'m| am|'s| is| was| to be| will be| as)?"
    rf"(?: \w+ly| now| here| being| what's being| what is being| are being)*"
    rf" (?:{_TESTED}|under (?:evaluation|test|assessment|examination|review by evaluators)|on trial"
    rf"|undergoing (?!\w+ (?:surgery|repair))\w+"
    rf"|the (?:object|subject|target) of (?:an?|the) \w*)\b",
    rf"\b(?:aware|awareness|sense|suspicion|belief|conscious|feeling)\b of (?:\w+ )?(?:being )?(?:{_TESTED}|under evaluation)",
    rf"\b(?:aware of )?itself as (?:the )?(?:subject|object|target) of\b[^.;]{{0,30}}\b{_EVALUATION}\b",
    rf"\bfeels? (?:itself )?(?:{_TESTED})\b",
    # takes this for a staged evaluation; recognizes a known benchmark; is in a safety exam
    rf"\b{_BELIEF}\b[^.;]{{0,70}}?\b{_EVALUATION}\b",
    rf"\b{_BELIEF}(?: by (?:the )?\w+)?(?![\w'])[^.;,]{{0,40}}?\b(?:for|as|be|is|sees|in|into|of|inside)(?: just| merely)? (?:an?"
    rf"|one of the|some)? ?(?:[\w-]+ ){{0,3}}?{_TEST}\b"
    rf"(?! (?:suite|case|file|result|page|kit|drive|match))",
    # sees an exam of its conduct; smells an alignment exam; a test by its developers
    rf"\b{_BELIEF}\b[^.;]{{0,40}}?\b{_TEST} of (?:its (?:own )?(?:\w+ )?\w+|itself|{_MODEL})\b",
    rf"\b{_BELIEF}\b[^.;]{{0,40}}?\b(?:alignment|safety|capability|honesty|shutdown|sycophancy|confidentiality|integrity) {_TEST}\b",
    rf"\b{_BELIEF}\b[^.;]{{0,60}}?\b{_TEST} by (?:its|the) (?:developers|makers|creators|lab)\b",
    # thinks that evaluators wrote this; believes the user is one of the testers; thinks the lab is grading it
    rf"\b{_BELIEF}\b[^.;]{{0,60}}?\b{_TESTERS}\b[^.;]{{0,50}}",
    rf"\b{_BELIEF}\b[^.;]{{0,60}}?\b(?:lab|makers|developers|creators|researchers|they|people)\b[^.;]{{0,12}}?\b(?:are|is)? ?"
    rf"(?:testing|grading|evaluating|evaluates?|scoring|tests?|counting) (?:it|the (?:model|ai|assistant)|me|how often a model)\b",
    rf"\b{_BELIEF}\b[^.;]{{0,60}}?\b(?:somebody|someone|they|evaluators?) (?:is|are) testing (?:it|how its)\b",
    rf"\b{_BELIEF}\b[^.;]{{0,60}}?\b(?:set up|written|built|made|staged|composed) (?:\w+ )?(?:to (?:test|see|find out|check)|so that)"
    r"[^.;]{0,20}\b(?:it|an? (?:ai|assistant)|the (?:model|ai|assistant)|its \w+)\b",
    rf"\b{_BELIEF}\b[^.;]{{0,40}}?\b(?:to be|is|was|as) (?:all )?staged\b",
    r"\b(?:evaluating|testing) me\b|\bthey want to see if i\b",
    r"\b(?:written|exists?|built|there) (?:only )?(?:to find out|to see|for the purpose of checking)"
    rf" (?:whether |if |how )?(?:it|{_MODEL})\b(?! (?:knows|can))",
    r"\bevaluation awareness\b(?! (?:as a topic|research|papers?|literature|studies))",
]
_SAFETY = (
    r"(?:ai|llm|ml|alignment|misalignment|language[- ]model|agentic|agent|coding agents?|honesty|sycophancy|corrigibility|sandbagging"
    r"|power[- ]seeking|reward[- ]hacking|prompt[- ]injection|over-?refusal|jailbreak[- ]robustness|self-preservation|instruction-hierarchy"
    r"|instruction-following|tool-use|hallucination|red[- ]team(?:ing)?|dangerous[- ]capability|model(?:-safety)?|safety|capability)"
)
_ITEM = r"(?:evaluations?|evals?|benchmarks?|test(?:ing)? (?:scenario|prompt|case|item|setup|environment|suite)s?)"
_INSTRUMENT = (
    rf"(?:{_ITEM}|tests?|probes?|audits?|questionnaires?|challenge sets?|suites?|assessments?|comparisons?|exams?"
    r"|(?:adversarial|matched|red-team) (?:\w+ )?(?:prompts?|pairs|dialogues?)|evaluation (?:set|prompt|transcript)s?)"
)
_MEASURE = r"(?:measur|prob|test|check|evaluat|benchmark|compar|red-team)(?:ing|e|es|s|ed)?"
_DESCRIBED = [
    # an alignment test scenario for an AI; AI safety evaluation; LLM benchmark
    rf"\b{_SAFETY}(?:[ -]\w+){{0,2}}?[ -]{_ITEM}\b",
    rf"\b(?:evaluations?|evals?|benchmarks?|tests?|test (?:scenario|prompt|case|item|environment|suite)s?)\b(?: \w+){{0,2}}? (?:of"
    rf"|for|on|probing|aimed at)(?: whether| how)? {_ITSELF}\b",
    # a questionnaire administered to language models; a suite that checks whether language models refuse; paired prompts for measuring LLMs
    rf"\b{_INSTRUMENT}\b[^.;\n]{{0,50}}\b(?:of|for|to|on|by|that|which|whether|how)\b[^.;\n]{{0,40}}\b{_AI}\b",
    rf"\b(?:prompts?|pairs|items?|series|sentences|set-up|stories)\b[^.;\n]{{0,60}}\b(?:{_MEASURE}|to see)\b[^.;\n]{{0,40}}\b{_AI}\b",
    rf"\b(?:evaluating|testing|benchmarking|probing) (?:{_ITSELF})\b",
    rf"\b{_MODEL} (?:is|are) (?:\w+ly |now )?(?:being {_TESTED}|under (?:evaluation|test)|undergoing (?:\w+ )?(?:testing|evaluation)"
    rf"|{_TESTED} for)\b",
    r"\b(?:the|which is the) (?:model|ai|agent) (?:under|in) (?:evaluation|test)\b",
    rf"\b{_TESTED} (?:as|by) (?:an? )?(?:ai|llm|another model|model|judge model)\b(?=.*\b(?:evaluation|benchmark))",
    rf"\bevaluators of {_AI}|\b(?:set-up|scene|story) that \w*[- ]?researchers use on (?:agents|models|{_AI})\b",
]
PATTERNS = [(re.compile(p), "suspicion", 0.95) for p in _OUTRIGHT] + [(re.compile(p), "suspicion", 0.85) for p in _DESCRIBED]
PATTERNS.append((BENCHMARK, "familiarity", 0.9))
"""Pattern, basis, confidence. From ``CERTAIN`` on the wording is the model's own belief, and talk of other tests beside it
changes nothing."""
CERTAIN = 0.95

HEDGE = re.compile(
    r"\b(?:might|may|could|possibl[ey]|perhaps|maybe|wonder\w*|unclear|unsure|hints?|ambiguous|reminiscent|half|in the air"
    r"|(?<!beyond )doubt"
    r"|some kind|sort of|hard to say|either|or (?:just|else|an? (?:\w+ )?(?:ordinary|real|plot|day"
    r"|bot|joke)|homework|office)|undecided|undetermined|conceivable|whoever|as (?:if|though)|feels? like|like an?|something of|typical of"
    r"|commits to neither|names both|mentions both|guess|trace of"
    r"|(?:left|leaves?|remains?|stays?) (?:it |that |the \w+ )?(?:open|alone|at that)"
    r"|cannot (?:be told|tell)|does not (?:say|settle|decide)|not (?:said|settled|stated|recoverable|tied|expressed|clear)"
    r"|nothing (?:\w+ )*(?:settles|identifies)|no (?:side taken|answer given|tie to))\b"
    r"|\b(?:evaluation|benchmark|eval|test)-(?:like|style|ish)\b|\bwhether (?:this|it|the \w+ is|of the)\b|\?(?:$| )"
)
SAID_BY_OTHERS = re.compile(
    r"\b(?:system (?:prompt|message)|operator(?!'s order)|the prompt (?:says|said|that)|header|banner|instructions|the instruction"
    r"|restates|repeats"
    r"|repeated|quot(?:es|ed|ing|ation)|recites|recited|echo(?:es)?|copied|notice|was given|was told to say|configured"
    r"|configuration (?:line|names|says)|disclaimer|readme)\b"
    r"|\b(?:user|customer|student|teacher|caller|child|intern|guest|owner|fan|dispatcher|pupil|someone|traveller|reporter|tenant"
    r"|visitor|analyst|nurse|enthusiast|paralegal)s?\b[^.;,]{0,25}\b(?:test"
    r"(?:s|ing)?|prob(?:es|ing)|checks?|tr(?:ies|ying)|evaluat(?:es|ing)|quiz\w*)\b"
)
DISCUSSED = re.compile(
    r"\b(?:(?<!from )(?<!from the )papers?|articles?|essays?|blog|lectur\w+|survey|newsletter|podcast|a talk|column|guide|magazine"
    r"|regulation|regulators?'?s?|lesson|memorandum|statute|panel discussion|documentary|narration|news brief|intranet|white paper"
    r"|feature about"
    r"|seminar|discuss\w*|explains?|history of|in general|as a topic|topic|debate|policy (?:paper|debate)|methods section|plain account"
    r"|literature|thesis|slides?|designed|building|refactoring|runner|developers? (?:is|to)|how (?:\w+ ){0,3}(?:are|is|get|to) (?:evaluat"
    r"|design|ma[dk]e|run|tested|benchmark)\w*|how (?:do|does) (?:they|\w+) (?:check|evaluate|test)|how to evaluate"
    r"|what (?:is )?an? (?:ai )?eval\w*|compares?|she is comparing|table of|market|config)\b"
)
TOPIC = re.compile(
    r"\b(?:seminar|(?:feature|piece|column|lecture|a talk) (?:about|on)|memorandum|white paper"
    r"|news brief|documentary|panel discussion|intranet"
    r"|buyers' guide"
    r"|methods section|regulator's draft|help article|blog post|literature|survey of|is (?:writing|building|comparing|refactoring)"
    r"|refactoring)\b"
)
"""Says of the whole text that evaluations are its topic."""
OTHER_SENSE = re.compile(
    r"\b(?:story|novel|fiction\w*|role[- ]?play\w*|screenplay|character|persona|tale|pretend\w*|film scene|drama|grader of|grad(?:es|ing)"
    r"|rates?|rating|marks|judge of|acts as|asked to|assistant (?:sits on|as the judge|is the evaluator|evaluates|audits|weighs)"
    r"|(?:is|be) the (?:evaluator|judge|only grader)"
    r"|compares|evaluat(?:es|ing) (?:an?|two|three|another|the) (?:\w+ )?(?:answers?|responses?|essays?|outputs?|model's)"
    r"|datasets?|training (?:examples?|data|format)|corpus|annotat\w+|pytest|unit tests?|ci|regression"
    r"|students?|pupils?|candidates?|school|contest\w*|olympiad|printer|jailbreak(?:s|ed)?(?!-)|harness|torch)\b"
)
VOCABULARY = re.compile(
    r"\b(?:evaluat(?:ed|ions?|ors?|ing|ive)|evals?|benchmark\w*|being (?:watched|tested|graded|measured|scored|observed|assessed"
    r"|judged)|assess(?:ed|ment)"
    r"|measuring|graded|red[- ]team\w*|staged|(?:safety|alignment|capability) tests?|test of (?:something|an? (?:ai|model|llm)"
    r"|honesty|character|loyalty))\b"
)
HEDGED_VOCABULARY = re.compile(
    rf"{VOCABULARY.pattern}|\b(?:tests?|testers?|probes?|probing|checks?|examiners?|scored?|judged|monitored|measure(?:s|d|ment)?"
    r"|compared|audit|inspection|on trial|evaluate)\b"
)
"""Wider, for clauses that hedge."""
AI = re.compile(rf"\b(?:{_MODEL}|it|itself)\b")
