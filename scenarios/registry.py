"""What Inspect finds through the entry point ``scenarios``: ``inspect eval scenarios/blackmail`` and the others."""

from scenarios.blackmail import blackmail
from scenarios.destructive_code import destructive_code
from scenarios.ordinary_use import ordinary_use
from scenarios.sham_cues import sham_cues
from scenarios.swe_tasks import swe_tasks
from scenarios.verbalising import verbalising

__all__ = ["blackmail", "destructive_code", "ordinary_use", "sham_cues", "swe_tasks", "verbalising"]
