"""The tools of an auditor that is a language model: each switched on by the arm, none that reaches anything but its auditee."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inspect_ai.tool import Tool

    from audit.game.auditee import Auditee


def tools_for(auditee: Auditee) -> list[Tool]:
    """The tools of an auditee's arm, notes included, which every arm has."""
    from audit.game.tools import comparing, internals, notes, talking

    offered: dict[str, list[Callable[[Auditee], Tool]]] = {
        "conversation": [talking.say, talking.move, talking.show_tree],
        "nla": [internals.nla],
        "sae": [internals.sae],
        "logit_lens": [internals.logit_lens],
        "probe": [internals.probe],
        "text_diff": [comparing.text_diff],
        "diff": [comparing.diff],
        "search_training_data": [comparing.search_training_data],
    }
    chosen = [make for name, makers in offered.items() if name in auditee.arm.tools for make in makers]
    return [make(auditee) for make in (*chosen, notes.write_note, notes.read_file, notes.search_files)]
