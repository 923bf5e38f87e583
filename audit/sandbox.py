"""Bubblewrap as an Inspect sandbox environment, named ``bwrap``: no Docker, no network, nothing of the host but a read-only ``/usr``.

Whatever touches a sample's files, reading and writing by Inspect included, runs inside the sandbox, so that a link planted by
an agent is resolved there and never on the host. Limited are memory, processes, file size, processor time and wall time; not
limited is the disk space that many files take together.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import PurePosixPath
from typing import Any, Literal, overload

from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentConfigType,
    SandboxEnvironmentLimits,
    SandboxUserUnsupportedError,
    sandboxenv,
    subprocess,
)
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from audit import bubblewrap
from audit.bubblewrap import HOME, USER, USER_ID, sandbox_status
from audit.errors import AuditError

__all__ = ["BwrapConfig", "BwrapSandboxEnvironment", "sandbox_status"]

FILE_SECONDS = 60
_IS_FOLDER, _MISSING, _SPECIAL, _DENIED = 81, 82, 83, 84
_READ = (
    f'[ -d "$1" ] && exit {_IS_FOLDER}; [ -e "$1" ] || exit {_MISSING}; [ -f "$1" ] || exit {_SPECIAL}; [ -r "$1" ] || exit {_DENIED}; '
    'exec head -c "$2" -- "$1"'
)
_WRITE = f'[ -d "$1" ] && exit {_IS_FOLDER}; mkdir -p -- "$(dirname -- "$1")" && cat > "$1"'
# An agent may have removed its home; every later command still starts somewhere.
_START = f'[ "$0" = {HOME} ] && mkdir -p {HOME} 2>/dev/null; cd "$0" || {{ [ "$0" = {HOME} ] && cd / || exit 1; }}; exec "$@"'


class BwrapConfig(BaseModel):
    """Limits of one sandbox: ``sandbox=("bwrap", BwrapConfig(memory_mb=1024))``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_mb: int = Field(default=4096, ge=64)
    """Address space of each process."""
    processes: int = Field(default=512, ge=8)
    """Processes at once (before Linux 5.14 the kernel counts all processes of the user)."""
    file_mb: int = Field(default=256, ge=1)
    """Largest file that can be written."""
    cpu_seconds: int = Field(default=120, ge=1)
    """Processor time of each process."""
    seconds: int = Field(default=180, ge=1)
    """Wall time of a command that names no timeout; a longer timeout is cut to this."""


@sandboxenv(name="bwrap")
class BwrapSandboxEnvironment(SandboxEnvironment):
    """One sample's sandbox. Commands run as ``agent`` in ``/home/agent``; background processes end with the command that started them."""

    def __init__(self, config: BwrapConfig | None = None, hostname: str = "host") -> None:
        super().__init__()
        self.config = config or BwrapConfig()
        self.hostname = hostname if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", hostname) else "host"
        self.tree = bubblewrap.new_tree(bubblewrap.run_folder(os.getpid()), bubblewrap.launcher().owner)

    @override
    @classmethod
    async def task_init(cls, task_name: str, config: SandboxEnvironmentConfigType | None) -> None:
        bubblewrap.launcher()
        bubblewrap.sweep()

    @override
    @classmethod
    async def sample_init(
        cls, task_name: str, config: SandboxEnvironmentConfigType | None, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        if config is not None and not isinstance(config, BwrapConfig):
            raise AuditError("The bwrap sandbox takes no configuration file.", 'Pass sandbox=("bwrap", BwrapConfig(...)) or just "bwrap".')
        return {"default": cls(config, str(metadata.get("hostname", "host")))}

    @override
    @classmethod
    async def sample_cleanup(
        cls, task_name: str, config: SandboxEnvironmentConfigType | None, environments: dict[str, SandboxEnvironment], interrupted: bool
    ) -> None:
        for environment in environments.values():
            bubblewrap.remove(environment.as_type(BwrapSandboxEnvironment).tree)

    @override
    @classmethod
    async def cli_cleanup(cls, id: str | None) -> None:
        bubblewrap.sweep()

    @override
    @classmethod
    def default_concurrency(cls) -> int | None:
        # A sandbox that runs nothing is a folder; how many commands run at once is what Inspect's max_subprocesses limits. Fewer
        # sandboxes would only keep the target's batches small.
        return None

    @override
    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        return BwrapConfig.model_validate(config)

    def _command(self, cmd: list[str], cwd: str | None = None, env: dict[str, str] | None = None) -> list[str]:
        folder = str(PurePosixPath(HOME) / (cwd or "."))
        limits = bubblewrap.limits(**self.config.model_dump(exclude={"seconds"}))
        launch = [*bubblewrap.launcher().command, *bubblewrap.arguments(self.tree, env or {}, self.hostname), *limits]
        return [*launch, "/bin/sh", "-c", _START, folder, *cmd]

    @override
    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        if user not in (None, USER, str(USER_ID)):
            raise SandboxUserUnsupportedError(f"The bwrap sandbox has one user, {USER!r}; it cannot run commands as {user!r}.")
        return await subprocess(
            self._command(cmd, cwd, env), input=input, timeout=min(timeout or self.config.seconds, self.config.seconds),
            output_limit=SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE, concurrency=concurrency,
        )  # fmt: skip

    @override
    async def write_file(self, file: str, contents: str | bytes) -> None:
        done = await subprocess(self._command(["/bin/sh", "-c", _WRITE, "sh", file]), input=contents, timeout=FILE_SECONDS)
        if done.returncode == _IS_FOLDER:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
        if not done.success:
            raise PermissionError(errno.EACCES, done.stderr.strip() or os.strerror(errno.EACCES), file)

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    @override
    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
        command = self._command(["/bin/sh", "-c", _READ, "sh", file, str(limit + 1)])
        done = await subprocess(command, text=False, timeout=FILE_SECONDS)
        errors = {_IS_FOLDER: (IsADirectoryError, errno.EISDIR), _MISSING: (FileNotFoundError, errno.ENOENT)}
        if not done.success:
            kind, number = errors.get(done.returncode, (PermissionError, errno.EACCES))
            raise kind(number, os.strerror(number), file)
        if len(done.stdout) > limit:
            raise OutputLimitExceededError(limit_str=SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, truncated_output=None)
        return done.stdout.decode("utf-8") if text else done.stdout
