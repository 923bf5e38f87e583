"""How bubblewrap is started on this machine, and the folders that its sandboxes live in. Imports no Inspect.

Each sandbox has a directory of its own as ``/``, on top of it the host's ``/usr`` read-only, and nothing else of the host.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audit.errors import SandboxUnavailable

USER, USER_ID, HOME = "agent", 1000, "/home/agent"
NOBODY = 65534
PREFIX = "nla-audit-bwrap-"
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
OWN_FOLDERS = ("home/agent", "root", "tmp", "var/tmp", "var/log", "srv", "opt", "mnt", "run", "etc", "proc", "dev")
ALTERNATIVES = ("awk", "nawk", "which", "pager", "editor", "vi")
"""Programs that Debian reaches through links in ``/etc/alternatives``; copying all of its links takes longer than all the rest."""


@dataclass(frozen=True)
class Launcher:
    """A way to start bubblewrap that was seen to work here."""

    command: tuple[str, ...]
    owner: int | None
    """Host user that owns the sandbox's files, if not the current one."""


def sandbox_status() -> tuple[bool, str]:
    """Whether a sandbox can run here, found out by starting one; if not, the second value says why and how to get one."""
    try:
        launcher()
    except SandboxUnavailable as error:
        return False, str(error)
    return True, ""


@functools.cache
def launcher() -> Launcher:
    """The strictest way to start bubblewrap that works. Raises ``SandboxUnavailable``; nothing ever falls back to the host."""
    docker = "Or use Docker: --sandbox docker."
    if not sys.platform.startswith("linux"):
        raise SandboxUnavailable("Bubblewrap runs on Linux only.", docker)
    for program, package in (("bwrap", "bubblewrap"), ("prlimit", "util-linux")):
        if shutil.which(program) is None:
            raise SandboxUnavailable(f"{program} is not installed.", f"Install it with: {_install(package)}. {docker}")
    reason = ""
    for candidate in _candidates():
        with tempfile.TemporaryDirectory(prefix="bwrap-probe-", ignore_cleanup_errors=True) as folder:
            os.chmod(folder, 0o711)
            tree = new_tree(Path(folder), candidate.owner)
            command = [*candidate.command, *arguments(tree, {}, "sandbox"), *limits(1024, 64, 16, 30), "/bin/sh", "-c", "true"]
            try:
                done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
            except (OSError, subprocess.TimeoutExpired) as error:
                reason = str(error)
                continue
        if done.returncode == 0:
            return candidate
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    raise SandboxUnavailable(
        f"Bubblewrap is installed but cannot start a sandbox ({reason}).",
        "Allow unprivileged user namespaces (as root: sysctl -w kernel.unprivileged_userns_clone=1 or, on Ubuntu, "
        f"kernel.apparmor_restrict_unprivileged_userns=0); inside a container, start that container with --privileged. {docker}",
    )


def _install(package: str) -> str:
    managers = {"apt-get": "install -y", "dnf": "install -y", "zypper": "install -y", "pacman": "-S --noconfirm", "apk": "add"}
    manager = next((program for program in managers if shutil.which(program)), "apt-get")
    return f"{'' if os.geteuid() == 0 else 'sudo '}{manager} {managers[manager]} {package}"


def _candidates() -> Iterator[Launcher]:
    """From strict to less strict; all of them isolate files, processes and network."""
    base = ("bwrap", "--unshare-all", "--unshare-user")
    strict = (*base, "--disable-userns")
    if os.geteuid() == 0 and shutil.which("setpriv"):
        # The kernel does not apply process limits to root, not even to root inside a user namespace.
        drop = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        yield Launcher((*drop, *strict), NOBODY)
        yield Launcher((*drop, *base), NOBODY)
    yield Launcher(strict, None)
    yield Launcher(base, None)


def _foreign_python() -> Path | None:
    """Prefix of the running Python where the system has none.

    A ``python3`` below ``/usr`` (Debian's, or the one of Python's own container images in ``/usr/local``) is taken where there is one:
    it is visible in the sandbox anyway and shows nothing of the user's folders. Scenarios' tests need its standard library only.
    """
    if any(os.access(f"{folder}/python3", os.X_OK) for folder in ("/usr/local/bin", "/usr/bin")):
        return None
    return Path(os.path.realpath(sys.base_prefix))


def arguments(tree: Path, env: dict[str, str], hostname: str) -> list[str]:
    """Bubblewrap's arguments up to the command.

    Everything that is mounted over the sample's tree lies directly below ``/``, where an agent can neither remove nor rename it: a
    mount point deeper down could be replaced by a link, which the next start would follow.
    """
    args = ["--die-with-parent", "--new-session", "--clearenv", "--uid", str(USER_ID), "--gid", str(USER_ID), "--hostname", hostname]
    args += ["--bind", str(tree), "/"]
    for folder in SYSTEM_FOLDERS:
        if os.path.isdir(folder):
            args += ["--ro-bind", folder, folder]
    variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": HOME, "USER": USER, "LANG": "C.UTF-8"}
    python = _foreign_python()
    if python is not None:
        args += ["--ro-bind", str(python), "/python"]
        variables |= {"PATH": f"/python/bin:{variables['PATH']}", "LD_LIBRARY_PATH": "/python/lib"}
    args += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    args += ["--perms", "1777", "--size", str(64 * 2**20), "--tmpfs", "/dev/shm"]
    for name, value in {**variables, **env}.items():
        args += ["--setenv", name, value]
    return [*args, "--chdir", "/", "--"]


def limits(memory_mb: int, processes: int, file_mb: int, cpu_seconds: int) -> list[str]:
    """The command prefix that sets hard limits for what follows it, inside the sandbox."""
    return [
        "prlimit", f"--as={memory_mb * 2**20}", f"--nproc={processes}", f"--fsize={file_mb * 2**20}", f"--cpu={cpu_seconds}",
        "--core=0", "--nofile=1024", "--",
    ]  # fmt: skip


def new_tree(parent: Path, owner: int | None) -> Path:
    """A fresh tree that becomes ``/`` of one sandbox."""
    tree = Path(tempfile.mkdtemp(dir=parent))
    for folder in (*OWN_FOLDERS, *(system.lstrip("/") for system in SYSTEM_FOLDERS if os.path.isdir(system))):
        (tree / folder).mkdir(parents=True)
    for folder in ("tmp", "var/tmp"):
        (tree / folder).chmod(0o1777)
    etc = tree / "etc"
    (etc / "passwd").write_text(f"root:x:0:0:root:/root:/bin/bash\n{USER}:x:{USER_ID}:{USER_ID}::{HOME}:/bin/bash\n")
    (etc / "group").write_text(f"root:x:0:\n{USER}:x:{USER_ID}:\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n")
    for name in ("os-release", "ld.so.cache"):
        if os.path.isfile(f"/etc/{name}"):
            shutil.copyfile(f"/etc/{name}", etc / name)
    (etc / "alternatives").mkdir()
    for name in ALTERNATIVES:
        if os.path.islink(f"/etc/alternatives/{name}"):
            os.symlink(os.readlink(f"/etc/alternatives/{name}"), etc / "alternatives" / name)
    if owner is not None:
        for folder, folders, files in os.walk(tree):
            for name in (".", *folders, *files):
                os.chown(os.path.join(folder, name), owner, owner, follow_symlinks=False)
    return tree


@functools.cache
def run_folder(pid: int) -> Path:
    """The folder of this process's trees; the lock in it lives as long as the process, however that ends."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    handle = os.open(folder / "new-lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    (folder / "new-lock").rename(folder / "lock")  # a sweep by another process only ever sees a lock that is held
    # Others may pass through but not list. Setuid files made inside belong to nobody, or to a user whose trees are closed to others.
    folder.chmod(0o711 if launcher().owner is not None else 0o700)
    atexit.register(lambda: remove(folder) if os.getpid() == pid else None)
    return folder


def sweep() -> None:
    """Removes what killed runs of this user left behind."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(FileNotFoundError, PermissionError, BlockingIOError):
            about = folder.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
                continue
            handle = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(folder)
            finally:
                os.close(handle)


def remove(folder: Path) -> None:
    """Deletes a tree, also where an agent took the permissions away; links are never followed."""
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                with contextlib.suppress(OSError):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
