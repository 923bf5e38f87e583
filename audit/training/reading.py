"""The first stage of a training run: documents are read through the target, and their activations and summaries kept as the corpus."""

from __future__ import annotations

from typing import Any

from audit.errors import AuditError
from audit.training.config import LAB, ORGANISMS, TrainConfig
from audit.training.session import Session


def read_corpus(session: Session) -> dict[str, Any]:
    """Activations, split by document, and what the other stages must know of the target."""
    from audit.target.loading import load_target, model_facts
    from audit.training.corpus import CorpusPlan, build_corpus
    from audit.training.prompts import find_sign

    config = session.config
    target = load_target(config.target, config.dtype, session.group.device, config.revision)
    facts = model_facts(target.model, target.tokenizer)
    layer = config.layer if config.layer is not None else round(facts.layers * 2 / 3)
    if layer >= facts.layers:
        raise AuditError(f"The setting 'layer' is wrong: the target has blocks 0 to {facts.layers - 1}.", "Choose one of them.")
    sign = find_sign(target.tokenizer, config.prompts.av, config.prompts.injection_char)
    documents = _documents(config, target.tokenizer)
    shares = config.shares
    plan = CorpusPlan(
        layer, config.positions.per_document, config.first_position, config.positions.max_tokens,
        (shares.av, shares.ar, shares.rl, shares.held_out), config.seed,
    )  # fmt: skip
    about = {"base_model": config.target, "base_revision": target.revision, "documents": config.documents.source}
    with session.reporter.track("Documents", len(documents), "document") as advance:
        counts = build_corpus(
            session.path("corpus"), target.model, target.tokenizer, documents, plan, _summaries(config), about, session.group, advance
        )
    _tell(session, counts)
    return {"layer": layer, "d_model": facts.d_model, "sign": sign, "revision": target.revision, **counts}


def _documents(config: TrainConfig, tokenizer: Any) -> Any:
    from audit.training.documents import LabDocuments, read_documents

    if config.documents.source == LAB:
        return LabDocuments(config.document_limit or 0, config.seed)
    if config.documents.source == ORGANISMS:
        from audit.lab.organisms.explained import OrganismDocuments

        return OrganismDocuments(config.document_limit or 0, config.seed)
    return read_documents(config.documents.source, config.documents.field, config.document_limit, tokenizer)


def _summaries(config: TrainConfig) -> Any:
    from audit.training.summaries import ModelSummaries

    settings = config.summaries
    if settings is None:
        return None

    def make() -> Any:
        from inspect_ai.model import get_model

        import audit.registry  # noqa: F401  (makes targets of ours available to Inspect by name)

        return get_model(settings.model, memoize=False)

    return ModelSummaries(make, settings.max_connections)


def _tell(session: Session, counts: dict[str, Any]) -> None:
    documents = counts["documents"]
    skipped, vectors = sum(documents["skipped"].values()), sum(counts["left_out"].values())
    summaries = sum(counts["no_summary"].values())
    if documents["too_short"] or skipped:
        session.reporter.note(f"{documents['too_short']} documents were too short, and {skipped} rows were no documents.")
    if vectors or summaries:
        session.reporter.note(f"{vectors} activations were left out for their norm, and {summaries} summaries could not be had.")
