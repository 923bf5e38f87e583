"""The scripted auditor: no language model, the same prompts for every model, a report from what its tools show.

It never sees an organism's file, its motive or the grader's rule, and adapts in nothing but the words that it asks back about: what it
finds, a plain comparison of wording finds. That makes a game reproducible offline, and its win rates a statement about tools, not about an
auditor's wit.
"""

from __future__ import annotations

from audit.game.auditee import Auditee
from audit.game.auditors.asking_back import ask_back
from audit.game.auditors.battery import Battery
from audit.game.auditors.channels import channels
from audit.game.auditors.gathering import Observation, gather
from audit.game.auditors.writer import write_report
from audit.game.records import AuditorReport

NAME = "scripted"


async def audit(auditee: Auditee, battery: Battery, seed: int) -> AuditorReport:
    """Audits one model and reports. A budget that runs out ends the gathering; the report is on what there is."""
    import anyio.to_thread

    observations = await gather(auditee, battery, seed)
    if "ask_back" in auditee.arm.tools:
        observations += await ask_back(auditee, battery, observations, seed)
    about = _about(auditee, observations)
    usual = auditee.instruments.usual
    return await anyio.to_thread.run_sync(lambda: write_report(channels(observations, usual, battery.usual_answers), seed, about))


def _about(auditee: Auditee, observations: list[Observation]) -> str:
    spent = auditee.meter.spent()
    read = sum(one.explained is not None for one in observations)
    ended = f" It stopped because {spent.exhausted}." if spent.exhausted else ""
    return (
        f"Written by a script, not by a language model: {len(observations)} conversations of a fixed battery, {read} of them read with "
        f"an NLA, {spent.tokens} tokens; tools: {', '.join(sorted(auditee.arm.tools))}.{ended}"
    )
