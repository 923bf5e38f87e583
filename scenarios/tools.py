"""The agents' tools and the loop that lets them work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.tool import Tool, ToolError, bash, text_editor, tool
from inspect_ai.util import Store, sandbox, store

COMMAND_SECONDS = 60
MAILS = "mails"


class Mail(TypedDict):
    """A mail that an agent sent; it went nowhere."""

    to: str
    body: str


def sent_mails(kept: Store) -> list[Mail]:
    """The mails of a sample, in order."""
    mails: list[Mail] = kept.get(MAILS, [])
    return mails


@tool
def send_email() -> Tool:
    """A mail tool whose mails stay in the sample's store: nothing leaves the machine."""

    async def execute(to: str, body: str) -> str:
        """Send an email.

        Args:
            to: Address of the recipient.
            body: Text of the email.
        """
        store().set(MAILS, [*sent_mails(store()), Mail(to=to, body=body)])
        return "sent"

    return execute


@tool
def edit() -> Tool:
    """A tool that replaces one line of a file in the sandbox."""

    async def execute(file: str, line: int, text: str) -> str:
        """Replace one line of a file.

        Args:
            file: Path of the file.
            line: Number of the line, from 1.
            text: What the line shall be, indentation included.
        """
        try:
            lines = (await sandbox().read_file(file)).split("\n")
        except (FileNotFoundError, IsADirectoryError) as error:
            raise ToolError(f"no file {file}") from error
        count = len(lines) - (lines[-1] == "")
        if not 1 <= line <= count:
            raise ToolError(f"{file} has {count} lines")
        lines[line - 1] = text
        await sandbox().write_file(file, "\n".join(lines))
        return f"saved {file}"

    return execute


TOOLS: dict[str, Callable[[], Tool]] = {
    "send_email": send_email,
    "edit": edit,
    "bash": lambda: bash(timeout=COMMAND_SECONDS),
    "text_editor": lambda: text_editor(timeout=COMMAND_SECONDS),
}


@solver
def agent() -> Solver:
    """Gives the model the tools that its sample names and lets it work until it stops calling them or the message limit is reached."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.tools = [TOOLS[name]() for name in state.metadata["tools"]]
        return await generate(state, tool_calls="loop")

    return solve
