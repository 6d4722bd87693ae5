"""What a plan can say: the models behind plan files, and behind `Agent` and `Limits` in Python."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from orchestrator.machine import cores
from orchestrator.plan.amounts import Concurrent, Count, Memory, MemoryLimit, Patience, Share, Usd
from orchestrator.plan.base import Model
from orchestrator.plan.fields import TASK_NAME, Argument, Duration, Environment, Servers, ToolList, Workspace
from orchestrator.plan.specs import TaskSpec, Write
from orchestrator.plan.words import describe

__all__ = ["Agent", "Defaults", "Limits", "Model", "Plan", "Spawn", "TaskSpec", "Write", "default_concurrent"]

DEFAULT_TOOLS = ("Bash", "Edit", "Glob", "Grep", "Read", "WebFetch", "WebSearch", "Write")
"""What an agent has when it names no tools: work on files, commands and the web; nothing that starts further agents."""

CREDENTIALS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CONFIG_DIR",
)
"""Variables that lead a CLI to an account, or to another API."""

MOST_AT_ONCE = 1000
"""Agents at work."""


def default_concurrent() -> int:
    """Two agents a core, at least 4 and at most 16: an agent waits for the API most of its time."""
    return min(16, max(4, 2 * cores()))


class Spawn(Model):
    """What an agent may add to its run."""

    count: int = Field(default=10, ge=1, le=1000, strict=True)
    """The most tasks that one agent may add."""
    depth: int = Field(default=1, ge=1, le=10, strict=True)
    """How deep it goes: 1: the tasks that it adds can add none themselves."""
    agents: tuple[str, ...] = ()
    """Which agents of the plan its tasks may have. Empty: they have the options of the agent that adds them."""


class Agent(Model):
    """A named set of options for a Claude CLI process. The defaults fit unattended work: nobody is ever asked."""

    model: Argument | None = None
    """A model's name or alias, as `sonnet`. None: the CLI's own default."""
    fallback_model: Argument | None = None
    """The model to go on with when the first one is overloaded."""
    tools: ToolList = DEFAULT_TOOLS
    """The tools that the agent has; nothing else is in its context. `default`: the CLI's own set."""
    allow: tuple[Argument, ...] = ()
    """Permission rules that let tool calls through, as `Bash(pytest:*)`."""
    deny: tuple[Argument, ...] = ()
    """Permission rules that refuse tool calls; they win over `allow`."""
    permission_mode: Literal["acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "plan"] | None = None
    """None: `acceptEdits` in a workspace of the task's own, `dontAsk` in `here`.
    What would need a question is refused and listed in the result."""
    system: Argument | None = None
    """A system prompt in place of Claude Code's own."""
    append_system: Argument | None = None
    """Text added to the end of the system prompt."""
    max_turns: int | None = Field(default=None, ge=1, strict=True)
    """The most model replies with tool calls in one attempt."""
    usd: Usd | None = None
    """The most that one attempt may cost, in US dollars."""
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """How much the model thinks. None: the model's default."""
    settings: tuple[Literal["user", "project", "local"], ...] = ("project",)
    """Which settings files are read. `project`: the workspace's CLAUDE.md and .claude/settings.json, with its hooks."""
    mcp_servers: Servers = Field(default_factory=dict)
    """MCP servers by name, or the path of an MCP configuration file. No others are started."""
    env: Environment = Field(default_factory=dict)
    """Environment variables for the agent's process."""
    start_timeout: Duration = 60.0
    """Seconds until the agent's process must be up."""
    idle_timeout: Duration = 600.0
    """Seconds that the agent may be silent while no tool of its own is at work: then its stream is held to be dead."""
    tool_timeout: Duration = 3600.0
    """Seconds that one tool call may take."""
    talk: bool = Field(default=False, strict=True)
    """Give the agent tools to speak with the run's other agents: send_message, read_messages, ask, publish, lookup."""
    spawn: Spawn | None = None
    """Give the agent a tool to add tasks to the run, spawn_task, and one to wait for them, await_tasks."""
    sandbox: bool = Field(default=False, strict=True)
    """Run the agent's commands in Claude Code's sandbox; refused where the machine cannot do it."""

    @property
    def own_account(self) -> bool:
        """Whether it has credentials of its own: what its API says then tells nothing of the others."""
        return bool(self.credentials)

    @property
    def credentials(self) -> Mapping[str, str]:
        """What in its environment leads to another account, or API, than the run's own. Secret."""
        return {name: self.env[name] for name in CREDENTIALS if name in self.env}

    @model_validator(mode="after")
    def _no_other_server_of_that_name(self) -> "Agent":
        if (self.talk or self.spawn) and isinstance(self.mcp_servers, Mapping) and "run" in self.mcp_servers:
            raise ValueError("mcp_servers: found the name run beside talk or spawn, whose tools have it: use another")
        return self


class Limits(Model):
    """How wide a run may be and what it may cost."""

    concurrent: Concurrent = "auto"
    """How many agents are at work at once, at most 1000. `auto`: as many as the API, the memory and the processors
    allow, found while the run goes on."""
    usd: Usd | None = None
    """US dollars for the whole run. An attempt may spend only what is left when it starts and nobody else is expected
    to need; once all is spent, agents at work are interrupted."""
    tokens: Count | None = None
    """Tokens for the whole run, input (cached or not) and output together, as `2M`."""
    turns: Count | None = None
    """Model replies for the whole run."""
    time: Duration | None = None
    """Seconds that the run may take, each time that it is started."""
    soft: Share = 1.0
    """The share of `usd`, `tokens`, `turns` and `time` from which on nothing new is started, no second attempt
    either, while agents at work may finish. At 1 there is no such line: what is spent whole interrupts them at once."""
    memory: MemoryLimit = Memory(share=0.8)
    """How much of the machine's memory (or its container's) may be in use for another agent to be started: a share, as
    `80%`; or how much the run's agents may use together, as `4GB`."""
    requests_per_minute: Count | None = None
    """API requests of all agents together. This and the next two put the gateway between the agents and the API."""
    input_tokens_per_minute: Count | None = None
    """Input tokens of all agents together, without what is read from the prompt cache."""
    output_tokens_per_minute: Count | None = None
    headroom: Share = 0.8
    """The share of the API's own limits, where it tells them, that the gateway uses; what is limited by a number of
    yours is not cut once more."""
    wait_for_reset: Patience = True
    """Whether to wait, when the account's usage limit is reached, until it is reset; or the longest time to wait."""
    wait_for_cache: Patience = True
    """Whether agents of one kind wait until the reply to the first of them begins, and the prompt cache holds what they
    all begin with (5 s at most); or the longest time to wait. Only with an account."""
    spawned: int = Field(default=100, ge=0, le=100_000, strict=True)
    """How many tasks agents may add, all together."""

    @field_validator("concurrent", mode="before")
    @classmethod
    def _read_concurrent(cls, value: Any) -> Any:
        if value == "auto" or (type(value) is int and 1 <= value <= MOST_AT_ONCE):
            return value
        raise ValueError(f"found {describe(value)}, expected a whole number from 1 to {MOST_AT_ONCE}, or auto")

    @property
    def width(self) -> int:
        """How many agents are at work at once at the beginning."""
        return self.concurrent if isinstance(self.concurrent, int) else default_concurrent()

    @property
    def is_paced(self) -> bool:
        """Whether the gateway is to pace the agents' requests."""
        paces = (self.requests_per_minute, self.input_tokens_per_minute, self.output_tokens_per_minute)
        return any(pace is not None for pace in paces)


class Defaults(Model):
    """Values for tasks that name none of their own."""

    agent: str | None = None
    """Which of `agents` does a task."""
    workspace: Workspace | None = None
    """Where a task is done."""
    timeout: Duration | None = None
    """Seconds that an attempt may take."""
    retries: int = Field(default=1, ge=0, le=20, strict=True)
    """How many more attempts a failed task gets."""


class Plan(Model):
    """A plan file."""

    name: str = Field(default="plan", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Letters, digits, dots, dashes and underscores; 64 at most."""
    vars: dict[str, Any] = Field(default_factory=dict)
    """Values for templates, as `{{ vars.topics }}`."""
    limits: Limits = Field(default_factory=Limits)
    """How wide the run may be and what it may cost."""
    defaults: Defaults = Field(default_factory=Defaults)
    """Values for tasks that name none of their own."""
    agents: dict[str, Agent] = Field(default_factory=dict)
    """Named sets of options for agents."""
    tasks: dict[str, TaskSpec] = Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": TASK_NAME}})
    """What is to be done, by name: a letter, then letters, digits, dashes and underscores; 64 at most."""
