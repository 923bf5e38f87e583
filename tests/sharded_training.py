"""What two processes run in ``test_training_processes``: an AV sharded by torch's ``fully_shard`` against the same AV in one piece.

Prints ``same`` on success. Not a test module itself: it is started with ``torch.distributed.run``.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import Qwen2Config, Qwen2ForCausalLM

from audit.engines.base import DecodeSettings
from audit.engines.transformers_engine import TransformersEngine
from audit.nla.prompt import InjectionPrompt, inject
from audit.training.loop import optimizers_of
from audit.training.processes import gathered_weights
from audit.training.scorers import TokenScorer
from audit.training.state import load_state, save_state, whole

PROMPT = InjectionPrompt((1, 5, 9, 2), 2)


def build() -> Any:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=64, max_position_embeddings=64, tie_word_embeddings=True, **shape)).eval()


def step(scorer: torch.nn.Module, optimizers: list[Any]) -> float:
    """One step on fixed data; its loss."""
    generator = torch.Generator().manual_seed(1)
    vectors, tokens = torch.randn(4, 32, generator=generator), torch.randint(64, (4, 6), generator=generator)
    loss = -scorer(vectors, tokens).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(scorer.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def sample(model: Any, vectors: torch.Tensor, count: int) -> list[list[int]]:
    with torch.inference_mode():
        rows = model.get_input_embeddings()(torch.tensor(PROMPT.ids))
        prompts = inject(rows, vectors[:count], PROMPT.position, 5.0)
    return TransformersEngine(model).decode(prompts, DecodeSettings(8, 1.0, 0), list(range(count)))


def main(folder: Path) -> None:
    dist.init_process_group("gloo")
    plain = TokenScorer(build(), PROMPT, 5.0)
    sharded = TokenScorer(copy.deepcopy(plain.model), PROMPT, 5.0)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for block in sharded.model.model.layers:
        fully_shard(block, mesh=mesh)
    fully_shard(sharded, mesh=mesh)
    pairs = [(scorer, optimizers_of(scorer, "adamw", 1e-2, 0.1)) for scorer in (plain, sharded)]
    vectors = torch.randn(3, 32, generator=torch.Generator().manual_seed(2))
    for _ in range(2):
        one, other = (step(*pair) for pair in pairs)
        assert abs(one - other) < 1e-5, (one, other)
        with gathered_weights(sharded):
            # Processes may decode for different times.
            count = 1 + dist.get_rank()
            assert sample(sharded.model, vectors, count) == sample(plain.model, vectors, count)
    for name, (scorer, optimizers) in zip(("plain", "sharded"), pairs, strict=True):
        save_state(folder / name, {"module": scorer}, optimizers, {"step": "2"}, write=dist.get_rank() == 0)
    dist.barrier()
    step(*pairs[1])
    # The state of the unsharded run goes into the sharded one, and both take the same third step.
    load_state(folder / "plain", {"module": sharded}, pairs[1][1])
    one, other = (step(*pair) for pair in pairs)
    assert abs(one - other) < 1e-5, (one, other)
    for (name, first), second in zip(plain.named_parameters(), sharded.parameters(), strict=True):
        assert torch.allclose(first, whole(second), atol=1e-5), name
    if dist.get_rank() == 0:
        print("same")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
