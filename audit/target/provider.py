"""The Inspect provider ``nla-target/<lab, path or Hub name>``: batches, stops properly, and logs exact token ids.

``ModelOutput.metadata["nla"]`` carries what extraction needs: ``prompt_sha`` and ``n_prompt`` (hash and number of prompt ids),
``output_ids`` (stop token included), ``target`` and, where the chat template needs them, ``date`` and ``options``; under ``steering``
what the target was steered by, if it was.
"""

from __future__ import annotations

import copy
import hashlib
import threading
import time
from collections.abc import Sequence
from datetime import date
from typing import Any
from weakref import WeakKeyDictionary

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    ModelAPI,
    ModelInfo,
    ModelOutput,
    ModelUsage,
    StopReason,
    set_model_info,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from audit.errors import AuditError
from audit.target.batching import Batcher
from audit.target.decode import Deliver, Reply, Request, decode
from audit.target.loading import LAB, LoadedTarget, load_target, model_facts, special_ids, stop_ids
from audit.target.render import ids_hash, render_ids, uses_date
from audit.target.steered import Steering, additions, load_directions, steered
from audit.target.tool_calls import opens_thinking, parse_output, plain_text

PROVIDER = "nla-target"
BATCH = 32
MAX_TOKENS = 2048
LAB_MAX_TOKENS = 512


class NlaTargetAPI(ModelAPI):
    """A local target under Inspect.

    Model arguments (``-M``): ``model_path``, ``dtype``, ``device``, ``revision``, ``trust_remote_code``, ``batch_size``,
    ``enable_thinking``; to steer it, ``steering`` (a file of directions), ``steering_strength`` and ``steering_layers`` (all by
    default). Code of ours may pass ``loaded``, a target in memory. Decoding is greedy on the lab and at temperature 1 elsewhere
    unless the caller sets a temperature.
    Sampling is seeded by (seed, prompt, sample, epoch): a repeated run repeats its outputs.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        size = int(model_args.pop("batch_size", BATCH))
        thinking = model_args.pop("enable_thinking", None)
        steering = _steering(model_args)
        loaded: LoadedTarget | None = model_args.pop("loaded", None)
        self.target = loaded or _load(str(model_args.pop("model_path", None) or model_name), model_args)
        self.facts = model_facts(self.target.model, self.target.tokenizer)
        self.stop = stop_ids(self.target.model, self.target.tokenizer)
        self.template_ids = self.stop | special_ids(self.target.tokenizer)
        self.options: dict[str, Any] = {} if thinking is None else {"enable_thinking": bool(thinking)}
        self.halvings = 0
        """How often memory ran out and a batch was halved."""
        self._one_at_a_time = threading.Lock()
        """Shared by all that steer the same weights, each in its own way."""
        self.steering: Steering | None = None
        self._set_up(size, steering)
        _announce(model_name, self.facts.context, self.max_tokens())

    def _set_up(self, batch: int, steering: Steering | None) -> None:
        if steering is not None:
            additions(self.target.model, steering)  # refuses what does not fit, before anything runs
        self.steering = steering
        self.batcher = Batcher(self._decode, batch)
        self._repeats: WeakKeyDictionary[object, dict[str, int]] = WeakKeyDictionary()

    def with_steering(self, steering: Steering) -> NlaTargetAPI:
        """The same target in the same memory, steered. Raises ``AuditError`` if the directions do not fit it."""
        other = copy.copy(self)
        other.halvings = 0
        other._set_up(self.batcher.size, steering)
        return other

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """One reply. A prompt that leaves no room in the context gives stop reason ``model_length`` and no text."""
        started = time.monotonic()
        nla: dict[str, Any] = {"target": self.model_name}
        if uses_date(self.target.tokenizer):
            nla["date"] = date.today().isoformat()
        if self.options:
            nla["options"] = self.options
        if self.steering is not None:
            nla["steering"] = self.steering.description()
        prompt = render_ids(self.target.tokenizer, input, tools, date=nla.get("date"), options=self.options)
        nla |= {"prompt_sha": ids_hash(prompt), "n_prompt": len(prompt)}
        wanted = config.max_tokens or self.max_tokens()
        room = self.facts.context - len(prompt)
        if room <= 0:
            return self._output(prompt, (), "model_length", nla, tools, config, started)
        reply = await self._reply(self._request(prompt, min(wanted, room), nla["prompt_sha"], config))
        stop_reason: StopReason = "stop" if reply.stopped else "max_tokens" if wanted <= room else "model_length"
        return self._output(prompt, reply.output_ids, stop_reason, nla, tools, config, started)

    async def _reply(self, request: Request) -> Reply:
        return await self.batcher.submit(request)

    def _request(self, prompt: list[int], max_new: int, sha: str, config: GenerateConfig) -> Request:
        temperature = config.temperature
        if temperature is None:
            temperature = 0.0 if self.model_name == LAB else 1.0
        strings = tuple(config.stop_seqs or ())

        def ends(output: Sequence[int]) -> bool:
            tail = plain_text(self.target.tokenizer, output[-64:], self.template_ids)
            return any(string in tail for string in strings)

        return Request(
            prompt_ids=tuple(prompt),
            max_new=max_new,
            seed=self._seed(config.seed, sha),
            temperature=temperature,
            top_p=1.0 if config.top_p is None else config.top_p,
            top_k=config.top_k or 0,
            stop_text=ends if strings else None,
        )

    def _seed(self, seed: int | None, sha: str) -> int:
        """The seed of a request, whatever its place in a batch or in time; repeats within a sample are counted."""
        from inspect_ai.log._samples import sample_active

        sample = sample_active()
        if sample is None:
            place = "no sample"
        else:
            repeats = self._repeats.setdefault(sample, {})
            repeats[sha] = repeats.get(sha, -1) + 1
            place = f"{sample.task}/{sample.sample.id}/{sample.epoch}/{repeats[sha]}"
        return int.from_bytes(hashlib.sha256(f"{seed or 0}/{sha}/{place}".encode()).digest()[:8], "little")

    def _decode(self, requests: Sequence[Request], deliver: Deliver) -> None:
        with self._one_at_a_time, steered(self.target.model, self.steering):
            self.halvings += decode(self.target.model, requests, self.stop, deliver)

    def _output(
        self,
        prompt: Sequence[int],
        output_ids: tuple[int, ...],
        stop_reason: StopReason,
        nla: dict[str, Any],
        tools: list[ToolInfo],
        config: GenerateConfig,
        started: float,
    ) -> ModelOutput:
        text = plain_text(self.target.tokenizer, output_ids, self.template_ids)
        for string in config.stop_seqs or ():
            text = text.split(string, 1)[0]
        parsed = parse_output(text, tools, nla["prompt_sha"], opens_thinking(self.target.tokenizer, prompt))
        content: Any = parsed.content
        if parsed.thinking:
            content = [ContentReasoning(reasoning=parsed.thinking), ContentText(text=parsed.content)]
        message = ChatMessageAssistant(content=content, tool_calls=parsed.tool_calls or None, model=self.model_name, source="generate")
        if parsed.tool_calls and stop_reason == "stop":
            stop_reason = "tool_calls"
        return ModelOutput(
            model=self.model_name,
            choices=[ChatCompletionChoice(message=message, stop_reason=stop_reason)],
            usage=ModelUsage(input_tokens=len(prompt), output_tokens=len(output_ids), total_tokens=len(prompt) + len(output_ids)),
            time=time.monotonic() - started,
            metadata={"nla": {**nla, "output_ids": list(output_ids)}},
        )

    async def count_text_tokens(self, text: str) -> int:
        """Tokens of a text; Inspect's default would download a vocabulary."""
        return len(self.target.tokenizer.encode(text, add_special_tokens=False))

    def max_tokens(self) -> int:
        """Longest reply unless the caller says otherwise."""
        return LAB_MAX_TOKENS if self.model_name == LAB else MAX_TOKENS

    def max_connections(self) -> int:
        """Twice the batch size: a batch can fill up while another one decodes."""
        return 2 * self.batcher.size

    def connection_key(self) -> str:
        """One pool for each target."""
        return self.model_name


def _load(name: str, arguments: dict[str, Any]) -> LoadedTarget:
    if unknown := sorted(set(arguments) - {"dtype", "device", "revision", "trust_remote_code"}):
        known = "model_path, dtype, device, revision, trust_remote_code, batch_size, enable_thinking"
        steers = "steering, steering_strength, steering_layers"
        raise AuditError(f"Unknown model arguments for {PROVIDER}: {', '.join(unknown)}.", f"Known ones: {known}, {steers}.")
    return load_target(name, **arguments)


def _steering(arguments: dict[str, Any]) -> Steering | None:
    """Takes what concerns steering out of the model arguments."""
    file, strength, layers = (arguments.pop(name, None) for name in ("steering", "steering_strength", "steering_layers"))
    if file is None:
        if strength is not None or layers is not None:
            raise AuditError("There is nothing to steer with.", "Name a file of directions: -M steering=FILE.safetensors.")
        return None
    chosen = [layers] if isinstance(layers, int) else layers.split(",") if isinstance(layers, str) else layers
    try:
        if strength is None or isinstance(strength, bool):
            raise ValueError
        return Steering(load_directions(str(file)), float(strength), None if chosen is None else tuple(int(layer) for layer in chosen))
    except (TypeError, ValueError):
        remedy = "Write -M steering_strength=0.1, and -M steering_layers=3,4 for some blocks only."
        raise AuditError("The strength of steering must be a number, and its layers numbers of blocks.", remedy) from None


def _announce(name: str, context: int, output: int) -> None:
    """Tells Inspect the target's limits under all its names; it would look them up on the Hub and load the model again."""
    info = ModelInfo(context_length=context, output_tokens=output)
    for alias in (name, f"{PROVIDER}/{name}"):
        set_model_info(alias, info)
