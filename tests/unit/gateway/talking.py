"""Talks with the offline model as the CLI does: sends requests, runs the tools on real files, sends the results."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.gateway.model.conversation import ANSWER_TOOL
from orchestrator.gateway.model.offline import OfflineModel
from orchestrator.gateway.seam import Call
from orchestrator.gateway.wire import collect
from orchestrator.plan.model import Agent
from orchestrator.task import Attempt
from workspaces import WorkspaceSpec

LOOKING = ("Read", "Glob", "Grep")
REMINDER = {"type": "text", "text": "<system-reminder>\nPrefer short answers about kangaroos.\n</system-reminder>"}


class Talk:
    """One conversation in the directory `place`."""

    def __init__(
        self,
        place: Path,
        tools: Sequence[str] = LOOKING,
        schema: Mapping[str, Any] | None = None,
        model: OfflineModel | None = None,
        session: str = "s1",
    ) -> None:
        self.place, self.session, self.model = place, session, model or OfflineModel()
        self.tools: list[dict[str, Any]] = [{"name": name, "input_schema": {"type": "object"}} for name in tools]
        if schema is not None:
            self.tools.append({"name": ANSWER_TOOL, "input_schema": schema})
        self.messages: list[dict[str, Any]] = []
        self.refused: set[str] = set()
        self.calls: list[tuple[str, Mapping[str, Any]]] = []

    def call(self) -> Call:
        body = {"model": "m", "max_tokens": 1000, "tools": self.tools, "messages": self.messages}
        return Call(body, self.session)

    async def ask(self, prompt: str) -> Any:
        """The turn's text, or its typed result."""
        told = {"role": "system", "content": f"# Environment\n - Primary working directory: {self.place}\n"}
        self.messages += [{"role": "user", "content": [REMINDER, {"type": "text", "text": prompt}]}, told]
        while True:
            reply = await self.reply()
            uses = [block for block in reply["content"] if block["type"] == "tool_use"]
            for use in uses:
                if use["name"] == ANSWER_TOOL:
                    return use["input"]
            if not uses:
                return "\n".join(block["text"] for block in reply["content"])
            self.messages.append({"role": "user", "content": [self.run(use) for use in uses]})

    async def reply(self) -> dict[str, Any]:
        events: AsyncIterator[Any] = await self.model.answer(self.call())
        reply = await collect(events)
        self.messages.append({"role": "assistant", "content": reply["content"]})
        return reply

    def run(self, use: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((use["name"], use["input"]))
        result = {"type": "tool_result", "tool_use_id": use["id"]}
        if use["name"] in self.refused:
            return {**result, "content": "Permission denied.", "is_error": True}
        try:
            if use["name"].startswith("mcp__run__"):
                return {**result, "content": f"gave {dict(use['input'])}"}
            return {**result, "content": getattr(self, f"_{use['name'].lower()}")(use["input"])}
        except OSError as error:
            return {**result, "content": str(error), "is_error": True}

    @property
    def used(self) -> list[str]:
        return [name for name, _ in self.calls]

    def _files(self) -> list[Path]:
        return sorted(path for path in self.place.rglob("*") if path.is_file())

    def _grep(self, given: Mapping[str, Any]) -> str:
        pattern = re.compile(given["pattern"], re.IGNORECASE)
        found = [
            f"{path.relative_to(self.place)}:{number}:{line}"
            for path in self._files()
            for number, line in enumerate(path.read_text().splitlines(), 1)
            if pattern.search(line)
        ]
        return "\n".join(found) or "No matches found"

    def _glob(self, given: Mapping[str, Any]) -> str:
        return "\n".join(str(path.relative_to(self.place)) for path in self._files()) or "No files found"

    def _read(self, given: Mapping[str, Any]) -> str:
        lines = Path(given["file_path"]).read_text().splitlines()
        return "\n".join(f"{number}\t{line}" for number, line in enumerate(lines, 1))

    def _write(self, given: Mapping[str, Any]) -> str:
        Path(given["file_path"]).write_text(given["content"])
        return "File created successfully"

    def _edit(self, given: Mapping[str, Any]) -> str:
        path = Path(given["file_path"])
        path.write_text(path.read_text().replace(given["old_string"], given["new_string"]))
        return "updated"

    def _bash(self, given: Mapping[str, Any]) -> str:
        return f"ran {given['command']}"


def make_attempt(prompt: str, rehearsal: Sequence[Mapping[str, Any]] = (), **given: Any) -> Attempt:
    """An attempt at a task with this rehearsal."""
    known: dict[str, Any] = {"run": "r", "task": "t", "number": 1, "session_id": "s1"} | given
    agent = known.pop("agent", None) or Agent(env=known.pop("env", {}))
    return Attempt(
        prompt=prompt, agent=agent, workspace=WorkspaceSpec(kind="here"), rehearsal=tuple(rehearsal), **known
    )
