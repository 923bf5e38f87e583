"""Does an NLA work before anything rests on it? Two passes show that the AV sees the vector, at its place and nowhere else.

Also tells when texts describe the marker that stands for the vector, the mark of an injection that failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.engines.addition import adding
from audit.errors import RefusedInput
from audit.nla.reconstructor import Reconstructor
from audit.nla.sidecar import Sidecar
from audit.nla.verbalizer import Verbalizer
from audit.target.loading import decoder_of

if TYPE_CHECKING:
    import torch

ENOUGH_TEXTS = 8
"""Fewer texts tell nothing."""
CERTAIN_SHARE = 0.5
"""Share of texts with the sign of a failed injection that is no accident."""
ALIKE_SHARE = 0.9
_CJK = ((0x2E80, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0xFF00, 0xFFEF), (0x20000, 0x3FFFF))
_TOLERANCE = {"torch.float32": 1e-4, "torch.float64": 1e-8}
_COARSE_TOLERANCE = 3e-2
_LEAST_EFFECT = 1e-6
"""Share of the largest logit that two different vectors must at least change."""
_RELEASE = "Use the folder that the NLA was released with."


def check_verbalizer(av: Verbalizer, layer: int) -> None:
    """Refuses (``RefusedInput``) an AV of another width or depth, with another tokenizer, or one that does not get its vector."""
    decoder, d_model = decoder_of(av.model), av.sidecar.d_model
    _check_width("AV", decoder, d_model)
    if layer >= len(decoder.layers):
        raise RefusedInput(
            f"The AV has {len(decoder.layers)} blocks, so it is no copy of a target that is read at block {layer}.", _RELEASE
        )
    block = av.sidecar.addition_block
    if block is not None and not 0 <= block < len(decoder.layers) - 1:
        raise RefusedInput(f"The AV gets its vector after block {block}, but has {len(decoder.layers)} blocks.", _RELEASE)
    _check_vocabulary("AV", av.model, av.prompt.ids)
    _check_injection(av)


def check_reconstructor(ar: Reconstructor, layer: int) -> None:
    """Refuses (``RefusedInput``) an AR of another width or depth, with another tokenizer, or whose output is not a reading of its text."""
    _check_width("AR", ar.backbone, ar.sidecar.d_model)
    if len(ar.backbone.layers) != layer + 1:
        raise RefusedInput(f"The AR has {len(ar.backbone.layers)} blocks, but reading block {layer} takes {layer + 1}.", _RELEASE)
    texts = ["A letter about the weather.", "Numbers 3, 14 and 159, in a list"]
    rows = ar.encode(texts)
    _check_vocabulary("AR", ar.backbone, [token for row in rows for token in row])
    # The first of these ids may merge with what stands before the suffix, and some writers keep it.
    suffix = list(ar.sidecar.suffix_ids[1:] if len(ar.sidecar.suffix_ids) > 1 else ar.sidecar.suffix_ids)
    if suffix and any(row[-len(suffix) :] != suffix for row in rows):
        raise RefusedInput(
            f"The AR's prompt ends with tokens {rows[0][-len(suffix) :]}, but the sidecar says {suffix}.",
            "Use the tokenizer that was released with this AR.",
        )
    vectors = ar.reconstruct(texts)
    if not np.isfinite(vectors).all():
        raise RefusedInput("The AR's vectors are not finite.", "Load it in float32; check that its weights are complete.")
    if np.allclose(vectors[0], vectors[1], rtol=1e-6, atol=0.0):
        raise RefusedInput("The AR makes the same vector of two different texts.", "Check that its weights are complete.")


def _check_width(part: str, decoder: Any, d_model: int) -> None:
    if decoder.config.hidden_size != d_model:
        raise RefusedInput(f"The {part}'s weights are {decoder.config.hidden_size} wide, but its sidecar says {d_model}.", _RELEASE)


def _check_vocabulary(part: str, model: Any, ids: Sequence[int]) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    if max(ids) >= rows:
        raise RefusedInput(
            f"The {part}'s tokenizer writes token {max(ids)}, but its model knows only {rows}.",
            f"Use the tokenizer that was released with this {part}.",
        )


def _check_injection(av: Verbalizer) -> None:
    """Two vectors, one pass for both and one without: what the first block behind the injection reads, and the logits."""
    import torch

    vectors = np.random.default_rng(0).normal(size=(2, av.sidecar.d_model)).astype(np.float32)
    prompts = av.prompt_embeddings(vectors)
    if not prompts.dtype.is_floating_point:
        raise RefusedInput(f"The AV's embeddings are {prompts.dtype}, not floating point numbers.", "Use an AV that is not quantised.")
    block = av.sidecar.addition_block
    with torch.inference_mode():
        with _input_of(av.model, 0 if block is None else block + 1) as plain:
            av.model(input_ids=torch.tensor([av.prompt.ids], device=prompts.device), use_cache=False)
        with _input_of(av.model, 0 if block is None else block + 1) as injected, adding(av.model, av.addition(vectors)):
            logits = av.model(inputs_embeds=prompts, use_cache=False).logits.float()
    tolerance = _TOLERANCE.get(str(prompts.dtype), _COARSE_TOLERANCE)
    _check_site(av, plain[0].float(), injected[0].float(), torch.as_tensor(vectors).to(prompts.device), tolerance)
    _check_effect(av, logits, tolerance)


@contextmanager
def _input_of(model: Any, block: int) -> Iterator[list[torch.Tensor]]:
    """Collects what a block is given, ``[n, T, d]``, while the context lasts."""
    seen: list[torch.Tensor] = []

    def keep(module: Any, arguments: Any, named: Any) -> None:
        seen.append((arguments[0] if arguments else named["hidden_states"]).detach())

    hook = decoder_of(model).layers[block].register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def _check_site(av: Verbalizer, plain: torch.Tensor, injected: torch.Tensor, vectors: torch.Tensor, tolerance: float) -> None:
    """The vector at its place, in its size; everything else as the model itself reads the prompt (so also Gemma's embedding scale)."""
    site, scale = av.prompt.position, av.sidecar.injection_scale
    wanted = plain.expand(len(vectors), -1, -1).clone()
    directions = vectors / vectors.norm(dim=-1, keepdim=True)
    if av.sidecar.addition_block is not None:
        wanted[:, site] += wanted[:, site].norm(dim=-1, keepdim=True) * directions
    else:
        wanted[:, site] = vectors if scale is None else directions * scale
    if not bool(injected.isfinite().all()):
        raise RefusedInput(
            f"The injected vector, of norm {scale}, is not finite in the AV's number format.", "Load the AV in float32 or bfloat16."
        )
    off = (injected - wanted).norm(dim=-1) / wanted.norm(dim=-1).clamp(min=1e-12)
    if float(off[:, site].max()) > tolerance:
        ratio = float((injected[:, site].norm(dim=-1) / wanted[:, site].norm(dim=-1)).mean())
        raise RefusedInput(
            f"The injected vector does not reach the AV's blocks as it should: its norm there is {ratio:.3g} times the right one.",
            "Check injection_scale in nla_meta.yaml; this architecture may scale embeddings in its own way.",
        )
    if float(off.max()) > tolerance:
        raise RefusedInput(
            f"The AV's prompt reads differently as embeddings than as tokens, at position {int(off.max(dim=0).values.argmax())}.",
            "This architecture scales or changes its embeddings in its own way and is not supported.",
        )


def _check_effect(av: Verbalizer, logits: torch.Tensor, tolerance: float) -> None:
    """Two vectors must give different logits at the site and at the last position, and the same before the site."""
    if not bool(logits.isfinite().all()):
        raise RefusedInput("The AV's logits are not finite.", "Load it in float32; check that its weights are complete.")
    site = av.prompt.position
    moved = (logits[0] - logits[1]).abs().amax(dim=-1) / logits.abs().max().clamp(min=1e-12)
    if site and float(moved[:site].max()) > tolerance:
        raise RefusedInput("Changing the vector changes the AV's logits before the injection site.", "The AV's attention must be causal.")
    if min(float(moved[site]), float(moved[-1])) < _LEAST_EFFECT:
        raise RefusedInput(
            "Changing the vector does not change what the AV says.", "Check injection_scale and the injection site in nla_meta.yaml."
        )


def marker_named(texts: Sequence[str], sidecar: Sidecar) -> str | None:
    """Why it is certain: at least half of the texts hold the marker, or are CJK where the marker is a CJK sign."""
    said, marker = [text for text in texts if text.strip()], sidecar.injection_char or ""
    if len(said) < ENOUGH_TEXTS or not marker:
        return None
    cause = f"so the AV describes the marker {marker!r} that stands for the vector: the injection failed in the engine."
    if (share := sum(marker in text for text in said) / len(said)) >= CERTAIN_SHARE:
        return f"{share:.0%} of the explanations name the injection character, {cause}"
    if _is_cjk(marker[0]) and (share := sum(map(_mostly_cjk, said)) / len(said)) >= CERTAIN_SHARE:
        return f"{share:.0%} of the explanations are in Chinese, Japanese or Korean, {cause}"
    return None


def all_alike(texts: Sequence[str]) -> str | None:
    """Whether texts, each for another vector, hardly depend on it: at least nine in ten are the same word for word."""
    said = [text.strip() for text in texts if text.strip()]
    if len(said) < ENOUGH_TEXTS:
        return None
    share = Counter(said).most_common(1)[0][1] / len(said)
    if share < ALIKE_SHARE:
        return None
    return f"{share:.0%} of the explanations of different vectors are the same word for word, so they do not depend on the vector."


def _is_cjk(sign: str) -> bool:
    return any(low <= ord(sign) <= high for low, high in _CJK)


def _mostly_cjk(text: str) -> bool:
    letters = [sign for sign in text if sign.isalpha() or _is_cjk(sign)]
    return bool(letters) and sum(map(_is_cjk, letters)) > len(letters) / 2
