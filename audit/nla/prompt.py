"""Prompts of AV and AR, and the injection: one row of the AV's input embeddings becomes the scaled activation (paper, section 2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit.errors import RefusedInput
from audit.nla.sidecar import Sidecar
from audit.records import ExplanationStatus

if TYPE_CHECKING:
    import torch

OPEN_TAG, CLOSE_TAG = "<explanation>", "</explanation>"
_ITS_TOKENIZER = "Use the tokenizer that was released with this AV."


@dataclass(frozen=True)
class InjectionPrompt:
    """The AV's fixed prompt as token ids, and the one position that a vector replaces (or is added to)."""

    ids: tuple[int, ...]
    position: int


def injection_prompt(tokenizer: Any, sidecar: Sidecar) -> InjectionPrompt:
    """Builds the AV's prompt in one step of the chat template and finds the injection site.

    Thinking is off in templates that know it. Raises ``RefusedInput`` if the marker is not exactly one token, not unique, or its
    neighbours differ from the sidecar: each is the mark of a tokenizer that does not belong to this AV.
    """
    if not sidecar.injection_char:
        raise RefusedInput("The AV's sidecar names no injection character.", "Restore nla_meta.yaml from the release.")
    marker = tokenizer.encode(sidecar.injection_char, add_special_tokens=False)
    expected = sidecar.injection_token_id
    if len(marker) != 1 or (expected is not None and marker[0] != expected) or marker[0] == tokenizer.unk_token_id:
        raise RefusedInput(
            f"The injection character {sidecar.injection_char!r} encodes to {marker}, but the sidecar says {expected}.", _ITS_TOKENIZER
        )
    ids = _chat_ids(tokenizer, fill(sidecar.prompt_template, injection_char=sidecar.injection_char), marker[0])
    sites = [position for position, token in enumerate(ids) if token == marker[0]]
    if len(sites) != 1:
        raise RefusedInput(
            f"The AV's prompt holds the injection token {len(sites)} times instead of once.", "Check the prompt template in nla_meta.yaml."
        )
    for neighbor, wanted in zip((sites[0] - 1, sites[0] + 1), sidecar.injection_neighbors, strict=True):
        found = ids[neighbor] if 0 <= neighbor < len(ids) else None
        if wanted is not None and found != wanted:
            raise RefusedInput(f"Beside the injection site stands token {found}, but the sidecar says {wanted}.", _ITS_TOKENIZER)
    return InjectionPrompt(tuple(ids), sites[0])


def _chat_ids(tokenizer: Any, content: str, marker: int) -> list[int]:
    from jinja2 import TemplateError

    messages = [{"role": "user", "content": content}]
    options = {"add_generation_prompt": True, "enable_thinking": False}
    try:
        ids: list[int] = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **options)
        if marker in ids:
            return ids
        # Some tokenizers split a rare marker into bytes inside chat templates only. The rendered text has its own special tokens.
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, **options)
        return list(tokenizer.encode(rendered, add_special_tokens=False))
    except TemplateError as error:
        raise RefusedInput(f"The chat template of the AV's tokenizer fails: {error}.", _ITS_TOKENIZER) from error


def fill(template: str, **fields: str) -> str:
    """A prompt template with its one field filled in. Raises ``RefusedInput`` if the field is missing or there are others."""
    remedy = "Restore nla_meta.yaml from the release."
    (name,) = fields
    if f"{{{name}}}" not in template:
        raise RefusedInput(f"The prompt template in nla_meta.yaml has no place for {{{name}}}.", remedy)
    try:
        return template.format(**fields)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise RefusedInput(f"The prompt template in nla_meta.yaml asks for more than {{{name}}}: {error}.", remedy) from error


def inject(embeddings: torch.Tensor, vectors: torch.Tensor, position: int, scale: float | None) -> torch.Tensor:
    """Puts each vector into its own copy of the prompt's embeddings.

    ``embeddings`` is ``[T, d]`` or ``[n, T, d]``, ``vectors`` ``[n, d]`` raw; returns ``[n, T, d]`` in the dtype of the
    embeddings. The norm is taken in float32. A vector of norm zero stays zero.
    """
    import torch

    vectors = vectors.to(torch.float32)
    if scale is not None:
        vectors = vectors * (scale / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-12))
    if embeddings.ndim == 2:
        embeddings = embeddings.unsqueeze(0).expand(len(vectors), -1, -1)
    result = embeddings.clone()
    result[:, position] = vectors.to(result.dtype)
    return result


def parse_explanation(text: str) -> tuple[str, ExplanationStatus]:
    """What stands between the tags, and whether it is whole (``ok``), cut off (``truncated``) or untagged (``unparsed``)."""
    opened = text.find(OPEN_TAG)
    if opened < 0:
        return text.strip(), "unparsed"
    body = text[opened + len(OPEN_TAG) :]
    closed = body.find(CLOSE_TAG)
    if closed < 0:
        return re.sub(r"</?\w*$", "", body).strip(), "truncated"
    return body[:closed].strip(), "ok"
