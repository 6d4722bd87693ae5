"""Two plans, each run once for all tests that only look at what came of it."""

import json
from typing import Any

from command_line import Cli

MIXED = """
name: mixed
vars: {who: nobody, report: out/report.md}
limits: {concurrent: 3}
agents:
  reader: {tools: [Read, Glob, Grep]}
  writer: {tools: [Read, Write]}
  runner: {tools: [Bash]}
defaults: {agent: reader, retries: 0}
tasks:
  hello: {prompt: "What is 17 * 23, {{ vars.who }}?"}
  typed:
    prompt: "Rate it."
    returns: {type: object, required: [mark], properties: {mark: {type: integer, minimum: 1, maximum: 5}}}
    rehearsal: [{answer: {mark: 4}}]
  each:
    foreach: [a, b]
    prompt: "Say {{ item }} {{ tasks.typed.value.mark }}."
    rehearsal: [{say: "{{ item }}{{ index }}{{ tasks.typed.value.mark }}"}]
  change:
    agent: writer
    workspace: worktree
    needs: [hello]
    prompt: "Write notes."
    rehearsal: [{write: {path: notes.txt, text: "one\\n"}}, {say: "Wrote it."}]
  denied:
    agent: runner
    prompt: "Touch it."
    rehearsal: [{bash: "touch x"}, {say: "I could not."}]
  report:
    write: {path: "{{ vars.report }}", text: "{{ tasks.each.texts | join(',') }} {{ tasks.change.files | join(',') }}"}
"""

FAILING = """
name: failing
limits: {concurrent: 4}
defaults: {agent: quiet, retries: 0}
agents: {quiet: {tools: []}}
tasks:
  good: {prompt: "What is 2 + 2?"}
  bad: {prompt: "Fail.", rehearsal: [{fail: {status: 400, message: no such luck, attempts: 1}}]}
  after: {needs: [bad], prompt: "Never asked."}
  later: {needs: [after], prompt: "Never asked either."}
"""


class Mixed:
    """The mixed plan, run once for all tests that only look at what came of it."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        cli.repository()
        cli.plan(MIXED)
        self.done = cli("run", "plan.yaml", "--offline", "--set", "vars.who=world", "--json", "-")
        self.data: dict[str, Any] = json.loads(self.done.stdout)
        self.run: str = self.data["run"]
        self.tasks: dict[str, Any] = {task["id"]: task for task in self.data["tasks"]}


class Failed:
    """The failing plan, run once."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        cli.plan(FAILING)
        self.done = cli("run", "plan.yaml", "--offline", "--json", "result.json")
        self.data: dict[str, Any] = json.loads((cli.place / "result.json").read_text())
        self.tasks: dict[str, Any] = {task["id"]: task for task in self.data["tasks"]}
