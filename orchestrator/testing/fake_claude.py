"""A fake Claude CLI: speaks the real one's protocol with the SDK, and does what the prompt's first word says.

    say TEXT             a turn and a good result (also for any other word)
    answer JSON          the same, with JSON as structured output
    env NAME             says the environment variable
    argv                 says its arguments as a JSON list
    cwd                  says its working directory
    deny RULE            a good result, with a refused call of Bash
    twice ONE | OTHER    two good results, one after the other
    mixed ONE | OTHER    a good result and then a bad one
    error KIND [STATUS] [TEXT]
                         a bad result and exit code 1. KIND is a result's subtype (`error_max_turns`), a terminal reason
                         (`prompt_too_long`), or an API error (`overloaded`); STATUS an HTTP status
    unknown-session      exit code 1 in its turn, as for a session that is not there
    nothing              a turn, then exit code 0 without a result
    crash CODE           complains on stderr, then that exit code, without a result
    kill NUMBER          ends itself with that signal
    noise                lines on stdout that are no messages, and others of kinds nobody knows; then a good result
    broken               a line of broken JSON
    oversized BYTES      a line of that length
    stderr TEXT          TEXT on stderr thirty times, then a good result
    hang                 a turn that does not end until it is interrupted
    mute                 nothing, and interrupts are ignored
    tool NAME            a call of that tool, which does not end until it is interrupted
    deaf                 a turn that does not end, and interrupts are ignored
    stubborn             the same, and so is SIGTERM
    lingers              a good result, after which it does not go, and SIGTERM is ignored
    recall               says what it was asked in its session so far, as a JSON list
    family               the same, with a grandchild in a session of its own: says its process id
    orphan               such a grandchild, then a good result
    keep MB              takes so much memory and keeps it, then a good result
    settle               a good result, after which it goes to no other directory
    stray TEXT           a good result and, when its next session has begun, a turn that nobody asked for
    belated TEXT         a good result and, when it is asked in its next session, a result of its own before that one's
    wedge [TEXT]         a good result, after which it hangs in `/clear` (or, with a TEXT, amid it)
    /clear               begins a new session, as the real one does
    use MB [GROW [HOLD]] grows to so many megabytes within GROW seconds (0), keeps them for HOLD seconds (1), then a
                         good result
    brood MB [GROW [HOLD]]
                         the same, in a child process
    stream NUMBER        so many messages of 400 letters, then a good result
    meet PIPE            a turn that goes on until somebody opens that pipe (a FIFO) for writing, then a good result

Named by ORCHESTRATOR_CLAUDE, it is run through the launcher and the SDK in place of the CLI. It writes a transcript
where the real one does, mirrors it with `--session-mirror`, and goes on with one that is there. With FAKE_CLAUDE=CODE
in its environment it ends with that exit code before it has said anything; with FAKE_CLAUDE=late it says nothing, and
with FAKE_CLAUDE=unclaimable it refuses to be claimed. The standard library is all it needs.
"""

import json
import os
import re
import signal
import sys
import time

TYPE_CHECKING = False  # `typing` has it too, but its import would be half of the start
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

MODEL = "claude-fake"
USAGE = {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 1}
LINE = "Fifty letters stand here to be read, and counted. "
CLEARED: "list[str]" = []
"""The ids of the sessions begun since the first."""
BELATED: "list[str]" = []
KEPT: "list[bytes]" = []
SETTLED: "list[bool]" = []
WEDGED: "list[str]" = []
STRAY: "list[str]" = []
"""What is said unasked once the next session has begun."""


def fake_claude_path(folder: "os.PathLike[str]") -> "Path":
    """Writes the CLI into the folder, and gives its path, fit for ORCHESTRATOR_CLAUDE."""
    from pathlib import Path  # noqa: PLC0415 - the CLI itself does without

    path = Path(folder) / "claude"
    path.write_text(f"#!{sys.executable} -IS\n{Path(__file__).read_text('utf-8')}", "utf-8")
    path.chmod(0o755)
    return path


def write(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def option(name: str) -> "str | None":
    """The value of a flag, as `--session-id ID` or `--session-id=ID`."""
    flags = [part for argument in sys.argv for part in argument.split("=", 1)]
    return flags[flags.index(name) + 1] if name in flags else None


def session() -> str:
    """The id that the options ask for."""
    return CLEARED[-1] if CLEARED else option("--session-id") or option("--resume") or "0"


def projects() -> str:
    home = os.environ.get("CLAUDE_CONFIG_DIR") or f"{os.environ['HOME']}/.claude"
    return f"{home}/projects"


def files(session_id: "str | None") -> "list[str]":
    """The paths of a session's files. (To import `glob` would take a sixth of the start.)"""
    folders = os.listdir(projects()) if os.path.isdir(projects()) else ()  # noqa: PTH112, PTH208
    paths = [f"{projects()}/{folder}/{session_id}.jsonl" for folder in folders]
    return [path for path in paths if os.path.exists(path)]  # noqa: PTH110


def transcript() -> str:
    """The path of the session's file; of a new one in the folder of its working directory."""
    found = files(session())
    place = re.sub("[^a-zA-Z0-9]", "-", os.getcwd())  # noqa: PTH109
    return found[0] if found else f"{projects()}/{place}/{session()}.jsonl"


def open_session() -> None:
    """Finds the session to go on with, or ends; a fork takes a copy."""
    resumed = option("--resume")
    found = files(resumed)
    if resumed and not found:
        unknown_session("")
    os.makedirs(os.path.dirname(transcript()), exist_ok=True)  # noqa: PTH103, PTH120
    if "--fork-session" in sys.argv:
        import shutil  # noqa: PLC0415 - seldom needed

        shutil.copy(found[0], transcript())


def remember(kind: str, text: str) -> None:
    """Writes a line of the transcript, and tells the SDK of it."""
    uuid = f"{session()}-{time.time_ns()}"
    entry = {"type": kind, "uuid": uuid, "sessionId": session(), "message": {"role": kind, "content": text}}
    os.makedirs(os.path.dirname(transcript()), exist_ok=True)  # noqa: PTH103, PTH120
    with open(transcript(), "a") as file:  # noqa: PTH123
        file.write(json.dumps(entry) + "\n")
    if "--session-mirror" in sys.argv:
        write({"type": "transcript_mirror", "filePath": transcript(), "entries": [entry]})


def recall(_: str) -> None:
    with open(transcript()) as file:  # noqa: PTH123
        entries = [json.loads(line) for line in file]
    turn(json.dumps([entry["message"]["content"] for entry in entries if entry["type"] == "user"]))


def clear(_: str) -> None:
    """Begins a new session, and tells so in the real one's order."""
    from uuid import uuid4  # noqa: PLC0415 - not at the start

    if WEDGED == [""]:
        sleep()
    old = session()
    CLEARED.append(str(uuid4()))
    conversation = {"new_conversation_id": str(uuid4()), "uuid": str(uuid4()), "session_id": old}
    write({"type": "conversation_reset", **conversation})
    if WEDGED:
        sleep()
    init()
    result("", num_turns=0, total_cost_usd=0, usage={})
    while STRAY:
        turn(STRAY.pop())


def keep(size: str) -> None:
    KEPT.append(b"\1" * int(float(size) * 1e6))
    turn("kept")


def settle(_: str) -> None:
    SETTLED.append(True)
    turn("settled")


def belated(text: str) -> None:
    turn(text)
    BELATED.append(text)


def wedge(text: str) -> None:
    WEDGED.append(text)
    turn("wedged")


def stray(text: str) -> None:
    STRAY.append(text)
    turn(text)


def set_cwd(request: "dict[str, Any]") -> None:
    """Goes to a directory that is trusted, which every one is once that is said of it."""
    asked = request["request"]
    if SETTLED:
        acknowledge(request)
        return
    if not asked.get("trust_accepted"):
        acknowledge(request, {"status": "needs_trust", "directory": asked["path"]})
        return
    os.chdir(asked["path"])
    acknowledge(request, {"status": "ok", "cwd": asked["path"], "changed": True})
    init()
    result("", num_turns=0, total_cost_usd=0, usage={})


def claim(request: "dict[str, Any]") -> None:
    """Begins in a directory, if it was started to be claimed."""
    if "--await-claim" not in sys.argv or os.environ.get("FAKE_CLAUDE") == "unclaimable":
        refused = {"subtype": "error", "request_id": request["request_id"], "error": "not_a_spare: it is at work"}
        write({"type": "control_response", "response": refused})
        return
    os.chdir(request["request"]["cwd"])
    write({"type": "system", "subtype": "ui_invalidate", "session_id": session(), "uuid": "1"})
    acknowledge(request, {"status": "ok", "cwd": os.getcwd(), "session_id": session()})  # noqa: PTH109


def init() -> None:
    about = {"claude_code_version": "2.1.329", "cwd": os.getcwd(), "tools": ["Bash", "Read"], "model": MODEL}  # noqa: PTH109
    write({"type": "system", "subtype": "init", "session_id": session(), "uuid": "1", **about})


def assistant(text: str, error: str | None = None) -> None:
    remember("assistant", text)
    says({"type": "text", "text": text}, USAGE, error)


def says(block: "dict[str, object]", usage: "dict[str, int] | None" = None, error: "str | None" = None) -> None:
    body = {"id": "m", "role": "assistant", "model": MODEL, "content": [block], "usage": usage}
    told = {"error": error} if error else {}
    write({"type": "assistant", "message": body, "session_id": session(), "parent_tool_use_id": None, **told})


def result(text: str | None, **other: object) -> None:
    """A result; a good one unless `other` says otherwise."""
    good = {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "duration_ms": 3,
        "duration_api_ms": 2,
        "num_turns": 1,
        "session_id": session(),
        "result": text,
        "stop_reason": "end_turn",
        "total_cost_usd": 0.25,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        "permission_denials": [],
        "terminal_reason": "completed",
        "uuid": "3",
    }
    write({**good, **other})


def turn(text: str, **other: object) -> None:
    assistant(text)
    result(text, **other)


def bad_result(words: str) -> None:
    """`KIND [STATUS] [TEXT]`, as the CLI tells of it."""
    kind, *rest = words.split(" ", 1)
    status, _, text = (rest[0] if rest else "").partition(" ")
    if not status.isdigit():
        status, text = "0", " ".join(rest)
    text = text or f"API Error: {kind}"
    told = {"is_error": True, "api_error_status": int(status) or None}
    if kind.startswith("error_"):
        result(None, subtype=kind, terminal_reason=kind.removeprefix("error_"), errors=[text], **told)
    elif status == "0":
        result(text, terminal_reason=kind, **told)
    else:
        assistant(text, kind)
        result(text, terminal_reason="api_error", **told)
    sys.exit(1)


def crash(code: str) -> None:
    sys.stderr.write("fake: something broke\n")
    sys.stderr.flush()
    os._exit(int(code))


def unknown_session(_: str) -> None:
    text = "No conversation found with session ID: 0"
    result(None, subtype="error_during_execution", is_error=True, errors=[text], num_turns=0)
    sys.exit(1)


def noise(_: str) -> None:
    sys.stdout.write("\n[Debug] not a message\nnull\n[1, 2]\n")
    write({"type": "of_tomorrow", "session_id": session()})
    write({"type": "system", "subtype": "of_tomorrow", "session_id": session()})
    turn("in spite of it all")


def broken(_: str) -> None:
    sys.stdout.write('{"type": "assistant", "message": {"content": [\n')
    turn("too late")


def oversized(size: str) -> None:
    assistant("x" * int(size))
    turn("after a long line")


def stderr(text: str) -> None:
    for number in range(30):
        sys.stderr.write(f"{text} {number}\n")
    sys.stderr.flush()
    turn("with noise")


def hang(_: str = "") -> None:
    assistant("hangs")
    wait_for_interrupt()


def wait_for_interrupt() -> None:
    """Answers control requests until one interrupts; then the turn ends as the real CLI's does."""
    for line in sys.stdin:
        request = json.loads(line)
        acknowledge(request)
        if request["request"]["subtype"] == "interrupt":
            aborted = {"subtype": "error_during_execution", "terminal_reason": "aborted_streaming"}
            result(None, is_error=True, errors=["[ede_diagnostic]"], **aborted)
            sys.exit(1)
    sleep()


def sleep() -> None:
    while True:
        time.sleep(60)


def tool(name: str) -> None:
    says({"type": "tool_use", "id": "1", "name": name, "input": {}})
    wait_for_interrupt()


def deaf(_: str = "") -> None:
    assistant("hangs")
    sleep()


def stubborn(_: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    deaf()


def lingers(text: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    turn(text)
    sleep()


def grandchild() -> int:
    """Starts one that outlives its parent, away from its group, as the CLI's Bash tool does. Gives its process id."""
    code = "import os, time; os.setsid(); os.write(1, b'.'); os.close(1); time.sleep(600)"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        os.close(0)
        os.closerange(3, 256)
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", code])  # noqa: S606
    os.close(writer)
    os.read(reader, 1)
    return child


def family(_: str) -> None:
    assistant(f"grandchild {grandchild()}")
    hang()


def fill(words: str) -> None:
    """`MB [GROW [HOLD]]`: writes to memory, a piece after the other; what is only asked for is not there yet."""
    given = [float(word) for word in words.split()]
    size, grow, hold = given + [0.0, 0.0, 1.0][len(given) :]
    pieces, taken = max(1, int(size / 5)), []
    for _ in range(pieces):
        taken.append(b"\1" * int(size * 1e6 / pieces))
        time.sleep(grow / pieces)
    time.sleep(hold)


def use(words: str) -> None:
    assistant("uses memory")
    fill(words)
    turn(f"used {words}")


def brood(words: str) -> None:
    assistant("uses memory")
    child = os.fork()
    if child == 0:
        fill(words)
        os._exit(0)
    os.waitpid(child, 0)
    turn(f"used {words}")


def stream(number: str) -> None:
    for _ in range(int(number)):
        says({"type": "text", "text": LINE * 8}, USAGE)
    turn("streamed")


def meet(pipe: str) -> None:
    assistant("waits")
    with open(pipe) as file:  # noqa: PTH123
        file.read(0)
    turn("met")


def kill(number: str) -> None:
    os.kill(os.getpid(), int(number))
    time.sleep(60)


def answer(words: str) -> None:
    turn(words, structured_output=json.loads(words))


def pair(words: str, **second: object) -> None:
    one, _, other = words.partition(" | ")
    turn(one, total_cost_usd=0.25)
    turn(other, total_cost_usd=0.5, **second)


BEHAVIOURS: "dict[str, Callable[[str], None]]" = {
    "say": turn,
    "answer": answer,
    "env": lambda name: turn(os.environ.get(name, "unset")),
    "argv": lambda _: turn(json.dumps(sys.argv)),
    "cwd": lambda _: turn(os.getcwd()),  # noqa: PTH109
    "deny": lambda rule: turn(
        "not allowed", permission_denials=[{"tool_name": "Bash", "tool_input": {"command": rule}}]
    ),
    "twice": pair,
    "mixed": lambda words: pair(words, is_error=True),
    "error": bad_result,
    "unknown-session": unknown_session,
    "nothing": lambda _: assistant("no result follows"),
    "crash": crash,
    "kill": kill,
    "noise": noise,
    "broken": broken,
    "oversized": oversized,
    "stderr": stderr,
    "hang": hang,
    "mute": lambda _: sleep(),
    "tool": tool,
    "deaf": deaf,
    "lingers": lingers,
    "recall": recall,
    "stubborn": stubborn,
    "family": family,
    "use": use,
    "brood": brood,
    "keep": keep,
    "stream": stream,
    "meet": meet,
    "settle": settle,
    "stray": stray,
    "wedge": wedge,
    "belated": belated,
    "/clear": clear,
    "orphan": lambda _: turn(f"grandchild {grandchild()}"),
}


def prompt_of(message: dict[str, dict[str, list[dict[str, str]] | str]]) -> str:
    content = message["message"]["content"]
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)


def acknowledge(request: "dict[str, Any]", response: "dict[str, object] | None" = None) -> None:
    told = response or {"commands": []}
    answered = {"subtype": "success", "request_id": request["request_id"], "response": told}
    write({"type": "control_response", "response": answered})


CONTROLS: "dict[str, Callable[[dict[str, Any]], None]]" = {"set_cwd": set_cwd, "claim_session": claim}


def main() -> None:
    """Answers control requests and user messages until standard input ends."""
    if os.environ.get("FAKE_CLAUDE") == "late":
        sleep()
    if os.environ.get("FAKE_CLAUDE", "unclaimable") != "unclaimable":
        crash(os.environ["FAKE_CLAUDE"])
    open_session()
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "control_request":
            CONTROLS.get(message["request"]["subtype"], acknowledge)(message)
        elif message["type"] == "user":
            prompt = prompt_of(message)
            word, _, rest = prompt.partition(" ")
            if word != "/clear" and BELATED:
                result(BELATED.pop(), user_message_uuid="another")
            if word != "/clear":
                remember("user", prompt)
                init()
            behaviour = BEHAVIOURS.get(word)
            turn(prompt) if behaviour is None else behaviour(rest)
            if word == "nothing":
                return


if __name__ == "__main__":
    main()
