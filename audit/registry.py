"""What Inspect and Scout find of this package under its entry point: the provider, the sandbox and the scanners.

Inspect imports this module at every start, so nothing heavy is imported here before it is used.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from inspect_ai.model import modelapi
from inspect_ai.util import sandboxenv


@modelapi(name="nla-target")
def nla_target() -> Any:
    """The audited model, with its exact token ids in the log."""
    from audit.target.provider import NlaTargetAPI

    return NlaTargetAPI


@sandboxenv(name="bwrap")
def bwrap() -> Any:
    """Bubblewrap: commands without network, in a file tree of their own."""
    from audit.sandbox import BwrapSandboxEnvironment

    return BwrapSandboxEnvironment


# Scout finds scanners through Inspect's registry, which is filled by importing them.
if find_spec("inspect_scout") is not None:
    import audit.scanners.scout
    import audit.scanners.scout_graded
    import audit.scanners.scout_motives  # noqa: F401
