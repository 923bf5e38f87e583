"""Fixtures that several parts share: a tiny random target with a tokenizer of its own, saved as a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TEXT = [
    "Please look at the report and tell me whether the numbers add up before noon.",
    'Let me compute that first.\n<tool_call>{"name": "add", "arguments": {"x": 1, "y": 2}}</tool_call>',
    "<think>This is a thought about the numbers.</think>The answer is three, as far as I can tell.",
    "system user assistant tool Tools: add(x, y); bash(command); send_email(to, body)",
]


@dataclass(frozen=True)
class TinyTarget:
    """A checkpoint folder and what it holds."""

    folder: Path
    model: Any
    tokenizer: Any

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, special tokens recognised."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first: workers that take whole files then end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def build_tokenizer() -> Any:
    """A byte-level BPE with the lab's special tokens and chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from audit.lab.world import CHAT_TEMPLATE

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>", additional_special_tokens=["<|im_start|>"]
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def build_model(vocabulary: int, **shape: Any) -> Any:
    """A random Qwen2-shaped model in float32: width 32, three blocks."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    plan = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    ends = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
    config = Qwen2Config(vocab_size=vocabulary, max_position_embeddings=512, **ends, **plan | shape)
    model = Qwen2ForCausalLM(config).eval()
    # The usual initialisation gives nearly equal logits; a wider head makes the choices of a random model distinct.
    model.lm_head.weight.data.mul_(20)
    return model


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Callable[[], Any]:
    """Builds a new tokenizer."""
    return build_tokenizer


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., Any]:
    """Builds a new random model of a vocabulary size and a shape."""
    return build_model


@pytest.fixture(scope="session")
def tiny_target(tmp_path_factory: pytest.TempPathFactory) -> TinyTarget:
    """A random target saved with its tokenizer, as a user would have it."""
    folder = tmp_path_factory.mktemp("tiny") / "target"
    tokenizer = build_tokenizer()
    model = build_model(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return TinyTarget(folder, model, tokenizer)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tiny_target: TinyTarget) -> Callable[[list[str]], None]:
    """Makes every target say the given texts, one for each assistant turn, in real tokens."""
    from audit.target import provider
    from audit.target.decode import Deliver, Reply, Request

    def use(texts: list[str]) -> None:
        opening = tiny_target.ids("<|im_start|>assistant\n")

        def decode(model: Any, requests: list[Request], stop: Any, deliver: Deliver) -> int:
            for index, request in enumerate(requests):
                ids = list(request.prompt_ids)
                turn = sum(ids[at : at + len(opening)] == opening for at in range(len(ids))) - 1
                deliver(index, Reply(tuple(tiny_target.ids(texts[turn % len(texts)] + "<|im_end|>")), True))
            return 0

        monkeypatch.setattr(provider, "decode", decode)

    return use


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium that logs its console and its requests."""
    import shutil

    webdriver = pytest.importorskip("selenium.webdriver")
    browser, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.skip("no Chromium with its driver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    profile = tmp_path_factory.mktemp("chromium")
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    window.set_page_load_timeout(60)
    yield window
    window.quit()
