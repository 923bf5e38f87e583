"""How fast engines decode the lab's AV, and whether they say the same.

    python benchmarks/decode.py [--vectors 512] [--runs 5] [--engine vllm] [--clock cpu]

Rivals of the transformers engine: `generate(inputs_embeds)` one request at a time (timed on a few vectors and scaled), `generate` in
batches of several sizes, and vLLM where it is installed (`--engine vllm`; it wants an environment of its own). Every rival's greedy
token ids are compared with the transformers engine's; where they differ, the gap between the logits of the two tokens is shown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from timing import add_options, interleaved, show

from audit.engines.base import DecodeSettings, Engine
from audit.engines.choice import make_engine
from audit.engines.transformers_engine import TransformersEngine
from audit.lab import weights_folder
from audit.lab.nla import explained_activations
from audit.nla import load_pair
from audit.target.loading import load_target, stop_ids

OURS = "transformers engine"
BATCHES = (32, 64, 128, 256, 512)
SITES_A_DOCUMENT = 8
TIE = 1e-3
EQUAL = 0.99


def main() -> None:
    """Measures, compares and prints; exits with 1 if the texts differ more than rounding explains."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--vectors", type=int, default=512)
    parser.add_argument("--alone", type=int, default=8, help="vectors decoded one request at a time")
    parser.add_argument("--engine", choices=("vllm",), help="compare this engine, too")
    parser.add_argument("--only-engines", action="store_true", help="leave `generate` out")
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--seed", type=int, default=95_001)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prompts, av = lab_prompts(options.vectors, options.seed)
    settings = DecodeSettings(options.max_tokens, 0.0, 0, tuple(sorted(stop_ids(av.model, av.tokenizer))))
    engines: dict[str, Engine] = {OURS: TransformersEngine(av.model)}
    if options.engine:
        engines[options.engine] = make_engine(options.engine, av.model, weights_folder("av"), max_num_seqs=512)
    cases: dict[str, Callable[[], object]] = {name: decoding(engine, prompts, settings) for name, engine in engines.items()}
    scale = {}
    if not options.only_engines:
        for size in [size for size in BATCHES if size <= options.vectors]:
            cases[f"generate, batches of {size}"] = generating(av.model, prompts, settings, size)
        cases["generate, one at a time"] = generating(av.model, prompts[: options.alone], settings, 1)
        scale["generate, one at a time"] = options.vectors / options.alone
    print(f"{options.vectors} vectors, {options.threads} threads, {options.clock} clock, {options.runs} runs\n")
    show(interleaved(cases, options.runs, options.clock), OURS, scale)
    sys.exit(int(not compare({name: case() for name, case in cases.items()}, av.model, prompts)))


def lab_prompts(count: int, seed: int) -> tuple[torch.Tensor, Any]:
    """The AV's prompts ``[n, T, d]`` for activations of documents that no training saw, and the AV."""
    loaded, pair = load_target("lab"), load_pair("lab")
    vectors = explained_activations(loaded.model, loaded.tokenizer, seed, -(-count // SITES_A_DOCUMENT) + 4).vectors[:count]
    return pair.av.prompt_embeddings(vectors), pair.av


def decoding(engine: Engine, prompts: torch.Tensor, settings: DecodeSettings) -> Callable[[], list[list[int]]]:
    """An engine's run over all prompts."""
    return lambda: engine.decode(prompts, settings, range(len(prompts)))


def generating(model: Any, prompts: torch.Tensor, settings: DecodeSettings, size: int) -> Callable[[], list[list[int]]]:
    """`generate` in batches of ``size``, its settings as a careful user would have them."""

    def run() -> list[list[int]]:
        texts = []
        for start in range(0, len(prompts), size):
            rows = prompts[start : start + size]
            mask = torch.ones(rows.shape[:2], dtype=torch.long)
            with torch.inference_mode():
                made = model.generate(
                    inputs_embeds=rows, attention_mask=mask, max_new_tokens=settings.max_tokens, do_sample=False,
                    eos_token_id=list(settings.stop_ids), pad_token_id=settings.stop_ids[0],
                )  # fmt: skip
            texts += [until_stop(ids, settings.stop_ids) for ids in made.tolist()]
        return texts

    return run


def until_stop(ids: Sequence[int], stop: Sequence[int]) -> list[int]:
    """What stands before the first stop token."""
    ends = [place for place, token in enumerate(ids) if token in stop]
    return list(ids[: ends[0]] if ends else ids)


def compare(texts: dict[str, Any], model: Any, prompts: torch.Tensor) -> bool:
    """Prints how many texts equal the transformers engine's; whether at least 99% do, each other first differing at a near tie."""
    fine = True
    for name, rival in texts.items():
        if name == OURS:
            continue
        rows = range(len(rival))
        gaps = [gap(model, prompts[row], texts[OURS][row], rival[row]) for row in rows if rival[row] != texts[OURS][row]]
        fine = fine and len(gaps) <= (1 - EQUAL) * len(rows) and all(value < TIE for value in gaps)
        equal = f"{len(rows) - len(gaps)} of {len(rows)} texts equal"
        print(f"{name}: {equal}; largest logit gap at a first difference {max(gaps, default=0):.1e}")
    return fine


def gap(model: Any, prompt: torch.Tensor, ours: Sequence[int], other: Sequence[int]) -> float:
    """The difference of the logits of the two tokens at which two texts part, by a pass over this row alone; infinite if one only ended."""
    common = next((place for place, (a, b) in enumerate(zip(ours, other, strict=False)) if a != b), None)
    if common is None:
        return float("inf")
    with torch.inference_mode():
        inputs = torch.cat([prompt, model.get_input_embeddings()(torch.tensor(list(ours[:common]), dtype=torch.long))])[None]
        logits = model(inputs_embeds=inputs, logits_to_keep=1).logits[0, -1]
    return abs(float(logits[ours[common]] - logits[other[common]]))


if __name__ == "__main__":
    main()
