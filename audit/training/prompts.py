"""The prompts of a new AV and AR, the sign that stands for the vector, and the sidecars that record them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from audit.errors import AuditError, RefusedInput
from audit.nla.prompt import InjectionPrompt, injection_prompt
from audit.nla.sidecar import Sidecar

AV_TEMPLATE = """\
One activation of a language model stands here in place of a sign: <vector>{injection_char}</vector>
What did the model hold in mind there? Answer in two to five short points, the most important first; the last names the token that it had
just read and what must follow. Write them between <explanation> and </explanation>."""
AR_TEMPLATE = """\
What a language model held in mind at one token:
<explanation>
{explanation}
</explanation>
Its activation:"""

_SIGNS = "\u2726\u3297\u320e\u3299\u2318\u262f\u203b\u3010"


def find_sign(tokenizer: Any, template: str, wanted: str | None = None) -> str:
    """A sign that is exactly one token of the target's tokenizer and stands in the AV's prompt exactly once.

    ``wanted`` is taken if it can serve; else a rare sign, in the end whichever rare one the vocabulary has. Raises ``AuditError``.
    """
    if wanted is not None:
        _site(tokenizer, template, wanted)
        return wanted
    for sign in _candidates(tokenizer):
        try:
            _site(tokenizer, template, sign)
        except RefusedInput:
            continue
        return sign
    raise AuditError("This tokenizer has no rare sign that is one token of its own.", "Name one with 'prompts.injection_char'.")


def _candidates(tokenizer: Any) -> Iterator[str]:
    yield from _SIGNS
    # The rarest stand last.
    for token in range(len(tokenizer) - 1, -1, -1):
        sign = tokenizer.decode([token])
        if len(sign) == 1 and ord(sign) > 0x2000 and unicodedata.category(sign) in ("Lo", "So"):
            yield sign


def _site(tokenizer: Any, template: str, sign: str) -> InjectionPrompt:
    return injection_prompt(tokenizer, Sidecar("av", 0, None, None, template, sign, None, (None, None), (), None, {}))


def verbalizer_meta(tokenizer: Any, template: str, sign: str, scale: float, common: dict[str, Any]) -> dict[str, Any]:
    """The AV's sidecar: prompt, injection site and norm."""
    prompt = _site(tokenizer, template, sign)
    return {
        "role": "av", **common, "extraction": {"injection_scale": scale, "mse_scale": "sqrt_d_model"},
        "tokens": {
            "injection_char": sign, "injection_token_id": prompt.ids[prompt.position],
            "injection_left_neighbor_id": prompt.ids[prompt.position - 1], "injection_right_neighbor_id": prompt.ids[prompt.position + 1],
        },
        "prompt_templates": {"av": template},
    }  # fmt: skip


def reconstructor_meta(tokenizer: Any, template: str, layer: int, common: dict[str, Any]) -> dict[str, Any]:
    """The AR's sidecar: prompt, its stable last tokens, and K."""
    return {
        "role": "ar", **common, "extraction": {"mse_scale": "sqrt_d_model"},
        "tokens": {"critic_suffix_ids": _suffix(tokenizer, template)},
        "prompt_templates": {"ar": template}, "critic": {"extraction_layer_index": layer},
    }  # fmt: skip


def _suffix(tokenizer: Any, template: str) -> list[int]:
    """The last token ids of the AR's prompt that are the same whatever the explanation."""
    rows = [tokenizer(template.format(explanation=text))["input_ids"] for text in ("- a letter", "9", "\u00e9)", "it ends here.\n")]
    length = 0
    while length < min(map(len, rows)) and len({row[-length - 1] for row in rows}) == 1:
        length += 1
    return list(rows[0][len(rows[0]) - length :])
