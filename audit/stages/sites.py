"""Stage 3: which tokens are explained."""

from __future__ import annotations

from collections.abc import Iterator

from audit.pipeline import Context, Outcome
from audit.records import Site, Transcript
from audit.stages.names import SITES_TABLE, TRANSCRIPTS_TABLE
from audit.stages.resources import Resources


def choose(context: Context, resources: Resources) -> Outcome:
    """Sites of every usable transcript; without an NLA none are needed."""
    from audit.target.sites import choose_sites

    store, config = context.store, context.config
    if config.nla_name is None:
        return Outcome(counts={"sites": store.write_table(SITES_TABLE, Site, ())})
    empty = 0

    def sites() -> Iterator[Site]:
        nonlocal empty
        for transcript in store.read_table(TRANSCRIPTS_TABLE, Transcript):
            chosen = choose_sites(transcript, resources.tokenizer, config.sites, config.tokens, config.seed)
            empty += not chosen and transcript.error is None
            yield from chosen

    written = store.write_table(SITES_TABLE, Site, sites())
    return Outcome(counts={"sites": written}, failures={"transcript_without_sites": empty} if empty else {})
