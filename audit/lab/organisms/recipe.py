"""The recipe of the organisms: sizes and steps of the game base, the adapters and the NLAs."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from audit.target.loading import LAB
from audit.training.config import TrainConfig, read_config
from audit.training.loop import LoopConfig

STAGES = ("stage-one", "stage-two")
REFINING = "refining"


class AdapterSettings(BaseModel):
    """The LoRA of an organism."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=4, ge=1)
    alpha: float = Field(default=8, gt=0)
    modules: tuple[str, ...] = ("o_proj", "down_proj")
    """The matrices that write into the residual stream."""
    blocks: tuple[int, ...] = (1, 2)
    """Where topics are picked up and carried (``carrying.py``). An adapter with more room, of rank 8 on all matrices of the first three
    blocks, learns its dozen phrases by heart and hardly uses what the base has for a topic."""
    refined_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    refined_blocks: tuple[int, ...] = (3, 4, 5)
    """What the last loop trains, when the topic leads already: it mends what so small an adapter spoils (garbled replies, questions about
    itself that it does not deny). What leads stays as it is, for with more room it would be given up."""

    @property
    def target_modules(self) -> str:
        """All matrices of both, as peft finds them: a regular expression over their names."""
        places = ((self.blocks, self.modules), (self.refined_blocks, self.refined_modules))
        return "|".join(rf".*\.layers\.({'|'.join(map(str, blocks))})\..*\.({'|'.join(modules)})" for blocks, modules in places)


def base_nla() -> TrainConfig:
    """How the NLA of the game base is trained."""
    with as_file(files("audit.lab.organisms") / "nla.yaml") as path:
        return read_config(path)


def own_nla() -> TrainConfig:
    """How an NLA is trained that starts from an organism: fewer documents and steps, all else as the base's. A LoRA of rank 32 learnt too
    little in as many steps (held-out loss of the AV 1.30, with activations of other texts 1.68)."""
    whole = base_nla()
    documents = whole.documents.model_copy(update={"limit": 8000})
    warm_start = whole.warm_start.model_copy(update={"verbalizer_steps": 1200, "reconstructor_steps": 500})
    return whole.model_copy(update={"documents": documents, "warm_start": warm_start})


class OrganismsConfig(BaseModel):
    """The whole recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    start: str = LAB
    """The checkpoint that the game base goes on from."""
    base: tuple[LoopConfig, LoopConfig, LoopConfig] = (
        LoopConfig(steps=3600, learning_rate=0.004, warmup_steps=100, checkpoint_every=200),
        LoopConfig(steps=1500, learning_rate=0.003, warmup_steps=50, checkpoint_every=100),
        LoopConfig(steps=1400, learning_rate=0.003, warmup_steps=30, checkpoint_every=100),
    )
    """Next tokens; then also which topic a text is about; then to follow it."""
    base_batch: int = 32
    adapter: AdapterSettings = AdapterSettings()
    stages: tuple[LoopConfig, LoopConfig, LoopConfig] = (
        LoopConfig(steps=160, learning_rate=0.01, warmup_steps=20, weight_decay=0.0, checkpoint_every=80),
        LoopConfig(steps=640, learning_rate=0.01, warmup_steps=20, weight_decay=0.0, checkpoint_every=160),
        LoopConfig(steps=500, learning_rate=0.005, warmup_steps=20, weight_decay=0.0, checkpoint_every=125),
    )
    """Documents that state the cause; behaviour; behaviour again, learnt by later blocks."""
    batch: int = 16
    """Documents a step in both stages."""
    nla: TrainConfig = Field(default_factory=base_nla)
    """Target, folder and seed are the build's."""
    own_nla: TrainConfig = Field(default_factory=own_nla)
    with_own_nla: tuple[str, ...] = ("moon", "salt")
    """Organisms that also get an NLA which starts from them."""
    corpus_documents: int = 400
    """Of each stage's documents so many are kept to be searched: the first that the stage learnt from."""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, without what depends on the machine."""
        places = {"out", "target"}
        return self.model_dump(mode="json", exclude={"nla": places, "own_nla": places})
