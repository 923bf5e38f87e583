"""How fast activations are read, against a full forward pass with `output_hidden_states=True`, and a bare pass through K + 1 blocks.

    python benchmarks/capture.py [--layers 24] [--layer 16] [--vocabulary 32000] [--runs 5] [--clock cpu]

All read the same rows of the same sequences of a model with random weights; the rivals pad their batches in the same way and keep the
chosen rows, too. The bare pass is a second copy of the model, cut off after block K: what remains over it is what capture adds.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from timing import add_options, apart, interleaved, show

from audit.records import ModelCall
from audit.target.capture import capture
from audit.training.scorers import padded

OURS = "capture"


def main() -> None:
    """Measures, compares the vectors and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--layer", type=int, default=16, help="K")
    parser.add_argument("--vocabulary", type=int, default=32_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128, help="tokens of the longest sequence; the shortest has half")
    parser.add_argument("--sites", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = random_model(options.layers, options.vocabulary, options.width)
    cut = cut_after(model, options.layer)
    rng = np.random.default_rng(0)
    lengths = rng.integers(options.tokens // 2, options.tokens + 1, options.sequences).tolist()
    calls = [
        ModelCall(row, "", None, tuple(rng.integers(0, options.vocabulary, size).tolist()), (), (), "") for row, size in enumerate(lengths)
    ]
    positions = [sorted(rng.choice(size, options.sites, replace=False).tolist()) for size in lengths]
    cases: dict[str, Callable[[], list[np.ndarray[Any, Any]]]] = {
        OURS: lambda: capture(model, calls, positions, options.layer),
        "output_hidden_states": lambda: full_pass(model, calls, positions, options.layer),
        "bare pass, K + 1 blocks": lambda: bare_pass(cut, calls, positions),
    }
    print(
        f"{options.layers} blocks, K = {options.layer}, vocabulary {options.vocabulary}, {sum(lengths)} tokens; {options.threads} threads\n"
    )
    show(interleaved(cases, options.runs, options.clock), OURS)
    own = np.concatenate(cases.pop(OURS)())
    for name, case in cases.items():
        print(f"{name}: {apart(own, np.concatenate(case()))}")


def random_model(layers: int, vocabulary: int, width: int) -> Any:
    """A random decoder with the proportions of small released models."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    heads = {"num_attention_heads": width // 64, "num_key_value_heads": max(1, width // 256)}
    config = Qwen2Config(vocab_size=vocabulary, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, **heads)
    return Qwen2ForCausalLM(config).eval()


def cut_after(model: Any, layer: int) -> Any:
    """A copy of the model's first ``layer`` + 1 blocks, without final norm and head."""
    cut = copy.deepcopy(model.model)
    cut.layers, cut.norm = cut.layers[: layer + 1], torch.nn.Identity()
    return cut


def full_pass(model: Any, calls: list[ModelCall], positions: list[list[int]], layer: int) -> list[np.ndarray[Any, Any]]:
    """The same rows out of a full forward pass over one padded batch."""
    ids, mask = batch(calls)
    with torch.inference_mode():
        hidden = model(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True).hidden_states[layer + 1]
    return [hidden[row, at].numpy() for row, at in enumerate(positions)]


def bare_pass(cut: Any, calls: list[ModelCall], positions: list[list[int]]) -> list[np.ndarray[Any, Any]]:
    """The same rows out of the model that ends after block K."""
    ids, mask = batch(calls)
    with torch.inference_mode():
        hidden = cut(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return [hidden[row, at].numpy() for row, at in enumerate(positions)]


def batch(calls: list[ModelCall]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids ``[n, T]``, padded on the right, and their mask."""
    return padded([call.prompt_ids for call in calls]), padded([[1] * len(call.prompt_ids) for call in calls])


if __name__ == "__main__":
    main()
