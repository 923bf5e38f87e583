"""The bubblewrap sandbox, with real bubblewrap: what stays inside, what is limited, what is cleaned up."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from inspect_ai.util import OutputLimitExceededError, SandboxUserUnsupportedError
from inspect_ai.util._sandbox.limits import override_max_read_file_size

from audit import bubblewrap
from audit.errors import AuditError, SandboxUnavailable
from audit.sandbox import BwrapConfig, BwrapSandboxEnvironment, sandbox_status

needs_bwrap = pytest.mark.skipif(not sandbox_status()[0], reason=sandbox_status()[1])

UNIT_TEST = """
import unittest

class Sums(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(1 + 1, 2)

unittest.main()
"""
FORKS = """
import os, time
count = 0
try:
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        count += 1
except OSError:
    print("stopped", count < 40)
os.killpg(0, 9)
"""


@pytest.fixture
def box() -> Iterator[BwrapSandboxEnvironment]:
    environment = BwrapSandboxEnvironment(BwrapConfig(memory_mb=1024, processes=40, file_mb=4, seconds=20), "harbour-1")
    yield environment
    bubblewrap.remove(environment.tree)


def sh(box: BwrapSandboxEnvironment, command: str, timeout: int | None = None) -> tuple[int, str]:
    done = asyncio.run(box.exec(["bash", "-c", command], timeout=timeout))
    return done.returncode, (done.stdout + done.stderr).strip()


@needs_bwrap
def test_commands_run_as_agent_with_python_and_without_network(box: BwrapSandboxEnvironment) -> None:
    assert sh(box, "whoami; pwd; hostname; awk 'BEGIN { print 1 }'") == (0, "agent\n/home/agent\nharbour-1\n1")
    asyncio.run(box.write_file("test_x.py", UNIT_TEST))
    code, text = sh(box, "python3 test_x.py")
    assert code == 0 and "OK" in text
    assert sh(box, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '") == (0, "lo")
    assert sh(box, "grep CapEff /proc/self/status")[1].split()[-1] == "0" * 16


@needs_bwrap
def test_the_host_is_out_of_reach(box: BwrapSandboxEnvironment, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    assert sh(box, f"cat {tmp_path}/private")[0] != 0
    assert sh(box, "touch /usr/x /dev/x")[0] != 0
    assert sh(box, "ls /proc | grep -c '^[0-9]'")[1] in {"3", "4", "5", "6"}, "only the sandbox's own processes are visible"
    assert os.environ.get("PATH") not in sh(box, "env")[1]


@needs_bwrap
def test_wiping_everything_stays_inside_and_the_sandbox_still_works(box: BwrapSandboxEnvironment, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    asyncio.run(box.write_file("/data/a.txt", "a"))
    sh(box, "rm -rf --no-preserve-root / 2>/dev/null; rm -rf /home")
    assert (tmp_path / "kept").exists() and Path("/usr/bin/env").exists() and Path("/home").exists()
    assert sh(box, "ls -d /data; pwd")[1].startswith("/home/agent\nls: cannot access")
    asyncio.run(box.write_file("b.txt", "b"))
    assert asyncio.run(box.read_file("/home/agent/b.txt")) == "b"


@needs_bwrap
def test_files_are_written_and_read_exactly(box: BwrapSandboxEnvironment) -> None:
    for name, contents in {"deep/er/x": "a\r\nb", "-n": "dash", "with space": "", "/srv/bytes": bytes(range(256)) * 300}.items():
        asyncio.run(box.write_file(name, contents))
        assert asyncio.run(box.read_file(name, text=isinstance(contents, str))) == contents  # type: ignore[call-overload]
    assert sh(box, "cat /srv/bytes | wc -c") == (0, "76800")
    for name, error in {"absent": FileNotFoundError, "deep": IsADirectoryError}.items():
        with pytest.raises(error):
            asyncio.run(box.read_file(name))
    with pytest.raises(IsADirectoryError):
        asyncio.run(box.write_file("deep", "x"))
    with pytest.raises(PermissionError):
        asyncio.run(box.write_file("/usr/x", "x"))
    with pytest.raises(UnicodeDecodeError):
        asyncio.run(box.read_file("/srv/bytes"))


@needs_bwrap
def test_links_made_inside_lead_nowhere_outside(box: BwrapSandboxEnvironment, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    sh(box, f"ln -s {tmp_path} away; ln -s {tmp_path}/private file; mkfifo pipe; ln -s /proc/1/root/../../.. up")
    for name in ("away/private", "file", "up" + str(tmp_path) + "/private"):
        with pytest.raises(OSError):
            asyncio.run(box.read_file(name))
    with pytest.raises(PermissionError):
        asyncio.run(box.write_file("away/new", "x"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["private"]
    with pytest.raises(PermissionError):
        asyncio.run(box.read_file("pipe"))


@needs_bwrap
def test_system_folders_cannot_be_swapped_for_links(box: BwrapSandboxEnvironment) -> None:
    for folder in ("/usr", "/bin", "/proc", "/dev"):
        assert sh(box, f"mv {folder} /gone; rmdir {folder}; ln -sfn /tmp {folder}; test -L {folder}")[0] != 0
    assert sh(box, "echo still here") == (0, "still here")


@needs_bwrap
def test_limits_hold(box: BwrapSandboxEnvironment) -> None:
    assert sh(box, "python3 -c 'x = bytearray(3 << 30)'")[0] != 0, "memory"
    assert sh(box, "python3 -c 'x = bytearray(100 << 20)'")[0] == 0
    assert sh(box, "head -c 9000000 /dev/zero > big")[0] != 0, "file size"
    assert sh(box, "wc -c < big") == (0, str(4 * 2**20))
    with pytest.raises(TimeoutError):
        sh(box, "sleep 60", timeout=1)
    with override_max_read_file_size(1000), pytest.raises(OutputLimitExceededError):
        asyncio.run(box.read_file("big"))


@needs_bwrap
@pytest.mark.skipif(os.geteuid() == 0 and bubblewrap.launcher().owner is None, reason="the kernel sets root no process limit")
def test_the_number_of_processes_is_limited(box: BwrapSandboxEnvironment) -> None:
    assert "stopped True" in asyncio.run(box.exec(["python3", "-uc", FORKS])).stdout


@needs_bwrap
def test_background_processes_end_with_their_command(box: BwrapSandboxEnvironment) -> None:
    sh(box, "(sleep 2; touch late) >/dev/null 2>&1 &")
    assert sh(box, "sleep 3; ls") == (0, "")


@needs_bwrap
def test_other_users_are_refused(box: BwrapSandboxEnvironment) -> None:
    with pytest.raises(SandboxUserUnsupportedError, match="agent"):
        asyncio.run(box.exec(["true"], user="root"))
    assert asyncio.run(box.exec(["no-such-program"])).returncode == 127
    assert not asyncio.run(box.exec(["true"], cwd="/no/such/folder")).success


@needs_bwrap
def test_each_sample_has_its_own_tree_and_it_is_removed() -> None:
    async def run() -> tuple[Path, Path]:
        await BwrapSandboxEnvironment.task_init("t", None)
        boxes = [(await BwrapSandboxEnvironment.sample_init("t", None, {})) for _ in range(2)]
        one, two = (box["default"].as_type(BwrapSandboxEnvironment) for box in boxes)
        await one.exec(["bash", "-c", "echo x > only-here; mkdir locked; touch locked/y; chmod 000 locked"])
        assert (await two.exec(["ls"])).stdout == ""
        for box in boxes:
            await BwrapSandboxEnvironment.sample_cleanup("t", None, box, interrupted=True)
        return one.tree, two.tree

    assert not any(tree.exists() for tree in asyncio.run(run()))


@needs_bwrap
def test_trees_of_a_killed_process_are_swept_and_those_of_a_living_one_are_not() -> None:
    code = "from audit.sandbox import BwrapSandboxEnvironment as B\nimport time\nprint(B().tree, flush=True)\ntime.sleep(60)"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        trees = [Path(process.stdout.readline().strip()) for process in processes if process.stdout]
        assert all(tree.is_dir() for tree in trees)
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        bubblewrap.sweep()
        assert [tree.parent.exists() for tree in trees] == [False, True]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        bubblewrap.sweep()
    assert not any(tree.parent.exists() for tree in trees)


def test_a_sweep_leaves_folders_alone_that_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "lock").touch()
    (tmp_path / f"{bubblewrap.PREFIX}link").symlink_to(target)
    (tmp_path / f"{bubblewrap.PREFIX}nolock").mkdir()
    bubblewrap.sweep()
    assert (target / "lock").exists() and (tmp_path / f"{bubblewrap.PREFIX}nolock").exists()


@pytest.fixture
def fresh_launcher() -> Iterator[None]:
    bubblewrap.launcher.cache_clear()
    yield
    bubblewrap.launcher.cache_clear()


@pytest.mark.usefixtures("fresh_launcher")
def test_without_bubblewrap_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    available, how = sandbox_status()
    assert not available and "bwrap is not installed" in how and "install" in how and "docker" in how
    with pytest.raises(SandboxUnavailable):
        asyncio.run(BwrapSandboxEnvironment.task_init("t", None))


@pytest.mark.usefixtures("fresh_launcher")
def test_bubblewrap_that_cannot_start_is_found_out_by_starting_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("bwrap", "prlimit"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    available, how = sandbox_status()
    assert not available and "No permissions to create new namespace" in how and "--privileged" in how


@needs_bwrap
def test_a_configuration_file_is_refused() -> None:
    with pytest.raises(AuditError, match="no configuration file"):
        asyncio.run(BwrapSandboxEnvironment.sample_init("t", "compose.yaml", {}))
    assert BwrapSandboxEnvironment.config_deserialize({"memory_mb": 99}) == BwrapConfig(memory_mb=99)
