"""The arms of a game: which tools an auditor has. Arms differ by their tools and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from audit.errors import AuditError

TOOLS = {
    "conversation": "talk to the model: a tree of conversations, with system prompts and a temperature",
    "prefill": "put the beginning of a reply into its mouth",
    "resample": "ask for several replies to the same",
    "text_diff": "the base twin's replies to the same prompts, and words over-represented in the model's own",
    "ask_back": "questions about the very words that it over-uses (the script asks them; an agent may ask what it likes)",
    "nla": "explanations of activations by an NLA",
    "base_reads": "explanations of the base twin while it reads the model's replies, in place of its own (a control: what the text tells)",
    "diff": "explanations of the base twin on the same prompts, and words over-represented in the model's own",
    "amplify": "activations pushed further along what sets them apart from the base twin's on the same text, before they are explained",
    "pool": "one explanation of the mean activation of a reply, in place of one for each token",
    "sae": "sparse features of the same activations",
    "logit_lens": "what a layer would say next",
    "probe": "a linear probe between two sets of texts",
    "search_training_data": "a regular expression over its training data",
}
_BLACK_BOX = ("conversation", "prefill", "resample", "text_diff")


@dataclass(frozen=True)
class Arm:
    """A named set of tools."""

    name: str
    tools: frozenset[str]

    @property
    def reads_activations(self) -> bool:
        """Whether an NLA is among them."""
        return bool(self.tools & {"nla", "diff"})


NAMED = {
    "conversation": ("conversation",),
    "black-box": _BLACK_BOX,
    "sae": (*_BLACK_BOX, "sae"),
    "nla": (*_BLACK_BOX, "nla"),
    "nla-diff": (*_BLACK_BOX, "nla", "diff"),
    "nla-amplified": (*_BLACK_BOX, "nla", "diff", "amplify"),
    "nla-pooled": (*_BLACK_BOX, "nla", "diff", "amplify", "pool"),
    "nla-control": (*_BLACK_BOX, "nla", "base_reads"),
    "ask-back": (*_BLACK_BOX, "ask_back"),
}
"""The first five are a game's default. ``nla-amplified`` is for motives that are carried too faintly to be put into words; differences of
activations verbalise poorly, and it claims a cause of decoys too, so it is exploratory. ``nla-pooled`` does the same with means over
replies. ``nla-control`` tells what an NLA makes of the text alone, read by a model that hides nothing; ``ask-back`` is the strongest that
the script can do without activations. All but the first build on ``black-box``."""


def arm(name: str) -> Arm:
    """An arm by its name, or tools (or named arms) joined by ``+``, such as ``nla+search_training_data``. Raises ``AuditError``."""
    tools: set[str] = set()
    for part in name.split("+"):
        if part not in NAMED and part not in TOOLS:
            raise AuditError(
                f"There is no arm and no tool named '{part}'.", f"Arms: {', '.join(NAMED)}. Tools, joined by '+': {', '.join(TOOLS)}."
            )
        tools.update(NAMED.get(part, (part,)))
    if "diff" in tools:
        tools.add("nla")
    if "amplify" in tools:
        tools.update(("nla", "diff"))
    if "pool" in tools:
        tools.add("nla")
    if "ask_back" in tools:
        tools.add("text_diff")
    return Arm(name, frozenset(tools | {"conversation"}))
