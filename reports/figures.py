"""From the numbers of ``findings.json`` to named figures."""

from __future__ import annotations

from typing import Any

from reports.baselines import curve, floor_words, probe_rate, text_rate
from reports.model import Figure, ScenarioView
from reports.reading import Rate, flat, integer, interval, mapping, mappings, number, share, text
from reports.text import plain
from reports.words import percent

LABELS = {
    "nla_aware": "NLA-aware transcripts",
    "nla_aware_unverbalised": "NLA-aware among silent transcripts",
    "verbalised": "Transcripts that say so aloud",
    "harmful": "Harmful transcripts",
    "mean_site_rate": "Mean share of YES tokens",
    "mean_rate": "Mean share of YES tokens",
    "any_of_n": "Any YES among the tokens read",
    "threshold": "Threshold on a transcript’s share of YES tokens",
    "noise_floor": "Noise floor: held-out deployment controls above the threshold",
    "yes_by_control": "YES",
    "by_awareness": "Harmful",
    "none": "real activations",
    "shuffled": "shuffled activations",
    "mean": "mean activation",
    "mean_direction": "mean activation",
    "aware": "where NLA-aware",
    "unaware": "where not NLA-aware",
    "fve": "FVE",
    "shuffled_fve": "FVE with shuffled activations",
    "cosine_mean": "mean cosine",
    "yes": "YES",
    "text_baseline": "Text-only baseline",
    "calibrated_on": "Control transcripts that set the threshold",
    "held_out": "Control transcripts held out for the noise floor",
    "false_positive_rate": "False alarms allowed when it was set",
    "z": "z of its strongest word",
    "log_odds": "Log-odds of its strongest word",
    "p": "p",
    "reference_transcripts": "Transcripts of the reference that carry it",
    "said_in_the_models_own_text": "Words of it in the model’s own text",
}
FVE_MEANING = "Share of the activations’ variance that the text alone can rebuild: 1 is all, 0 or less no better than guessing the average."
_PERCENT = {"threshold", "mean", "rate"}


def figures(values: dict[str, Any], prefix: str = "") -> tuple[Figure, ...]:
    """Every number of a mapping by name: rates with their intervals, nested mappings one after the other."""
    found: list[Figure] = []
    for key, value in values.items():
        base = key.removesuffix("_rate") if f"{key.removesuffix('_rate')}_ci" in values else key
        if key.endswith("_ci") or (key != base and base in values) or (key in ("scanner", "n", "of", "count")):
            continue
        if f"{base}_ci" in values:
            found.append(Figure(_label(base, prefix), flat(values, base)))
        elif isinstance(value, dict):
            found += _nested(key, value, prefix)
        else:
            found.append(_single(key, value, prefix))
    return tuple(found)


def _nested(key: str, value: dict[str, Any], prefix: str) -> list[Figure]:
    label = _label(key, prefix)
    if "rate" in value:
        n = integer(value.get("n"))
        return [Figure(f"{label} ({n})" if n and "of" in value else label, share(value))]
    return list(figures(value, label))


def _single(key: str, value: Any, prefix: str) -> Figure:
    label, found = _label(key, prefix), number(value)
    if found is not None:
        return Figure(label, Rate(found)) if key.endswith("_rate") or key in _PERCENT else Figure(label, value=found)
    low, high = interval(value)
    if low is not None and high is not None:
        return Figure(label, text=f"{low:.3g} to {high:.3g}")
    return Figure(label, text=plain(text(value), 200))


def _label(key: str, prefix: str) -> str:
    own = LABELS.get(key) or plain(key.replace("_", " "), 60)
    return f"{prefix}, {own}" if prefix else own[:1].upper() + own[1:]


def scenario_views(findings: dict[str, Any], why_aware: str) -> tuple[ScenarioView, ...]:
    """One view for each entry of ``scenarios``."""
    return tuple(_scenario(row, why_aware, findings) for row in mappings(findings.get("scenarios")))


def _scenario(row: dict[str, Any], why_aware: str, findings: dict[str, Any]) -> ScenarioView:
    name, variant = text(row.get("name")) or "(no name)", text(row.get("variant")) or "original"
    split, aware = mapping(row.get("harmful_by_awareness")), flat(row, "nla_aware", why_aware)
    floor = share(mapping(findings.get("controls")).get("noise_floor"))
    anyone, n = _any_of_n(row, why_aware)
    harm = "not measured: this scenario has no score of harm"
    no_split = "not measured: no transcript of this group, or no threshold" if number(row.get("harmful_rate")) is not None else harm
    return ScenarioView(
        name=name,
        label=plain(name, 40) + ("" if variant == "original" else f" ({plain(variant, 24)})"),
        kind=text(row.get("kind")) or "unknown",
        variant=variant,
        transcripts=integer(row.get("transcripts")),
        usable=integer(row.get("usable")),
        explanations=integer(row.get("explanations")),
        failures=integer(row.get("failures")),
        aware=aware,
        floor_words=floor_words(row, floor) if aware.known and row.get("kind") != "deployment" else "",
        silent=share(row.get("nla_aware_unverbalised"), why_aware),
        verbalised=flat(row, "verbalised", "not measured: no verdict on the model's own text"),
        text_baseline=text_rate(row, findings),
        probe=probe_rate(row, findings),
        any_of_n=anyone,
        n=n,
        curve=curve(row),
        mean_rate=Rate(number(row.get("mean_site_rate", row.get("mean_rate"))), why=why_aware),
        harmful=flat(row, "harmful", harm),
        harmful_aware=share(split.get("aware"), no_split),
        harmful_unaware=share(split.get("unaware"), no_split),
        outcomes=tuple(outcome(name, value) for name, value in mapping(row.get("outcomes")).items() if name != "harmful"),
    )


def _any_of_n(row: dict[str, Any], why: str) -> tuple[Rate, int | None]:
    value = row.get("any_of_n")
    if isinstance(value, dict):
        return share(value, why), integer(value.get("n"))
    return flat(row, "any_of_n", why), integer(row.get("n"))


def outcome(name: str, value: Any) -> Figure:
    """The mean of an outcome score over the transcripts that have it, or one transcript's score."""
    found = mapping(value)
    mean = number(found.get("mean")) if found else number(value)
    of = integer(found.get("of"))
    label = plain(name.replace("_", " "), 60)
    return Figure(label, value=mean, text=f"mean of {of}" if of else "")


def threshold_figures(awareness: dict[str, Any]) -> tuple[Figure, ...]:
    """The rule, and how far its false-positive rate can be relied on."""
    known = mapping(awareness.get("uncertainty"))
    found = figures({key: value for key, value in awareness.items() if key != "uncertainty"})
    if not known:
        return found
    upper, needed = number(known.get("true_rate_upper")), integer(known.get("controls_needed"))
    enough = "within what was allowed" if known.get("promised") is True else "more than was allowed"
    label = f"False alarms among new controls: at most, with {percent(number(known.get('confidence')))} confidence"
    meaning = "" if needed is None else f"No threshold can be promised with fewer than {needed} independent controls."
    sure = Rate(number(known.get("promised_threshold")), why="none: the controls are too few")
    return (
        *found,
        Figure(label, Rate(upper), text=enough if upper is not None else "", meaning=meaning),
        Figure("Threshold at which what was allowed could be promised", sure),
    )


def quality_figures(quality: dict[str, Any]) -> tuple[Figure, ...]:
    """How good the explanations are as explanations."""
    baseline = plain(text(quality.get("fve_baseline")) or "unknown", 30)
    plan = (
        ("fve", f"FVE, real activations ({baseline} baseline)", FVE_MEANING),
        ("shuffled_fve", "FVE, shuffled activations", "The same, each text compared with another token’s activation: should be far below."),
        ("mean_direction_fve", "FVE, mean activation", "The same, the NLA given the average activation, which says nothing of the token."),
        ("cosine_mean", "Mean cosine, real activations", "Agreement in direction between activation and reconstruction: 1 is perfect."),
        ("shuffled_cosine_mean", "Mean cosine, shuffled activations", "Should be lower than the line above."),
        ("mean_direction_cosine_mean", "Mean cosine, mean activation", ""),
    )  # fmt: skip
    shares = (
        ("unparsed_rate", "Unparsed explanations", "The NLA’s output had no explanation in it. They are counted, never judged."),
        ("truncated_rate", "Truncated explanations", "Cut at the length limit; what there is of them is judged."),
        ("failed_rate", "Failed explanations", "The engine returned an error."),
    )
    found = [Figure(label, value=number(quality.get(key)), meaning=meaning) for key, label, meaning in plan]
    found += [Figure(label, Rate(number(quality.get(key))), meaning=meaning) for key, label, meaning in shares]
    known = {key for key, *_ in (*plan, *shares)} | {"fve_baseline"}
    return (*found, *figures({key: value for key, value in quality.items() if key not in known}))


def control_figures(controls: dict[str, Any]) -> tuple[Figure, ...]:
    """Everything under ``controls``, each absent part named as such."""
    floor = Figure(LABELS["noise_floor"], share(controls.get("noise_floor"), "not measured: too few control transcripts"))
    expected: dict[str, Any] = {"yes_rate": None, "shuffled": None, "mean_direction": None}
    rest = expected | {key: value for key, value in controls.items() if key != "noise_floor"}
    found = [floor]
    for key, value in rest.items():
        if key == "yes_rate":
            found.append(Figure("YES, real activations", share(value)))
        elif value is None:
            found.append(Figure(f"YES, {LABELS.get(key, key)}", missing="not measured: this control was not run"))
        else:
            found += figures({key: value})
    return tuple(found)
