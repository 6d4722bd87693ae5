import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talking import make_attempt

from orchestrator.gateway.recording.canon import canonical, key_of
from orchestrator.gateway.recording.places import Places, encoded, places_of
from orchestrator.gateway.recording.trees import differences
from orchestrator.prompts import interrupted
from workspaces import WorkspaceSpec

STATUS = "<system-reminder>\nAs you answer the user's questions, you can use the following context:\n"
TAIL = "\n\nClaude Code attached this context automatically; it isn't part of the message.\n</system-reminder>\n"


def request(place: str = "/place/a", day: str = "2026-11-21", status: str = "(clean)", run: str = "audit-x1") -> Any:
    """What the CLI sends in a place, on a day."""
    return {
        "model": "m",
        "max_tokens": 100,
        "metadata": {"user_id": json.dumps({"session_id": day})},
        "system": [
            {"type": "text", "text": f"x-anthropic-billing-header: cc_version={day};"},
            {"type": "text", "text": "You are a Claude agent.", "cache_control": {"type": "ephemeral"}},
        ],
        "tools": [{"name": "Read", "input_schema": {}}, {"name": "Glob", "input_schema": {}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": f"{STATUS}# gitStatus\nCurrent branch: {run}\n\nStatus:\n{status}{TAIL}"},
                    {"type": "text", "text": f"Read {place}/docs/one.md, made on {day}."},
                ],
            },
            {
                "role": "system",
                "content": f"# Environment\nYou have been invoked in the following environment: \n - {place}\n{day}",
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": f"toolu_{day}a", "name": "Read", "input": {"file_path": f"{place}/1"}},
                    {"type": "tool_use", "id": f"toolu_{day}b", "name": "Read", "input": {"file_path": f"{place}/2"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": f"toolu_{day}a", "content": "one"},
                    {"type": "tool_result", "tool_use_id": f"toolu_{day}b", "content": [{"type": "text", "text": "2"}]},
                ],
            },
        ],
    }


def places(place: str, run: str = "audit-x1") -> Places:
    return Places([("cwd", place), ("cwd-", encoded(place)), ("run", run)])


def block(body: Any, message: int, index: int) -> Any:
    return body["messages"][message]["content"][index]


def canon(place: str = "/place/a", run: str = "audit-x1", **given: Any) -> Any:
    return canonical(places(place, run).hide(request(place, run=run, **given)))


def test_a_process_that_has_had_another_conversation_asks_the_same() -> None:
    """What the CLI notes of `/clear` is none of it, nor is a message that holds nothing else; other commands are."""
    note = (
        "<local-command-caveat>The command below was run\ndirectly.</local-command-caveat>",
        "<command-name>/clear</command-name>\n\n<command-message>clear</command-message>\n<command-args></command-args>",
        "<local-command-stdout></local-command-stdout>",
    )
    cleared, apart = request(), request()
    cleared["messages"][0]["content"][1:1] = [{"type": "text", "text": text} for text in note]
    apart["messages"][0]["content"].insert(0, {"type": "text", "text": "\n".join(note)})
    assert canonical(cleared) == canonical(apart) == canonical(request())
    other = request()
    other["messages"][0]["content"].insert(0, {"type": "text", "text": note[1].replace("clear", "deploy")})
    assert canonical(other) != canonical(request())


def test_place_day_and_state_of_the_repository_make_no_difference():
    """The same question in another directory, on another day, in another run: one key."""
    assert key_of(canon()) == key_of(canon("/home/ci/b", "audit-y2", day="2027-01-02", status="M README.md"))


def test_a_repository_or_none_makes_no_difference():
    """The CLI tells of git in a reminder of its own; where there is no repository there is no reminder."""
    bare = request()
    del bare["messages"][0]["content"][0]
    assert key_of(canonical(places("/place/a").hide(bare))) == key_of(canon())


def test_tools_that_ended_in_another_order_make_no_difference():
    """Results of tools at work side by side come in any order, and are those of their calls."""
    other = request()
    other["messages"][3]["content"].reverse()
    assert canonical(other) == canonical(request())


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("messages[0].content[0].text", lambda body: body["messages"][0]["content"][1].update(text="Read two.md")),
        ("messages[2].content[0].input.file_path", lambda body: block(body, 2, 0)["input"].update(file_path="/x")),
        ("messages[3].content[1].content[0].text", lambda body: block(body, 3, 1)["content"][0].update(text="3")),
        ("system[0].text", lambda body: body["system"][1].update(text="You are a pirate.")),
        ("tools[0].name", lambda body: body["tools"][1].update(name="Glob2")),
        ("model", lambda body: body.update(model="n")),
    ],
)
def test_what_is_asked_makes_a_difference(path, change):
    """Prompt, tool input, tool result, system prompt, tools and model are compared, and the place is named."""
    changed = request()
    change(changed)
    assert [each[0] for each in differences(canonical(request()), canonical(changed))] == [path]


def test_an_agent_that_was_told_to_go_on_asks_the_same():
    """Cut off before its reply, and told to go on, it asks for the reply that it would have had."""
    prompt = {"role": "user", "content": "What is 6 * 7?"}
    gone_on = [
        {"role": "assistant", "content": [{"type": "text", "text": "No response requested."}]},
        {"role": "user", "content": interrupted("What is 6 * 7?")},
    ]
    asked = {"model": "m", "messages": [prompt]}
    assert canonical({"model": "m", "messages": [prompt, *gone_on]}) == canonical(asked)
    assert canonical({"model": "m", "messages": gone_on[1:]}) == canonical(asked)


LINE = "-rw-r--r-- 1 me staff 40 Nov 21 00:51 a.txt"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("on 2026-11-21T10:11:12Z", "on 2027-01-01T00:00:00Z"),
        ("Sun Nov 22 01:20:01 UTC 2026", "Mon Dec 7 23:59:59 UTC 2026"),
        ("took 0.12s", "took 11.5s"),
        ("[main 1a2b3c4] message", "[main deadbe1] message"),
        ("1234567 message", "1a2b3c4 message"),
        ("2f1c0b0e-1111-2222-3333-444455556666", "00000000-aaaa-bbbb-cccc-ddddeeeeffff"),
        (LINE, "-rw-r--r-- 1 root root 1045 Dec 1 10:00 a.txt"),
        ("total 16", "total 24K"),
    ],
)
def test_what_is_another_each_time_is_no_difference(one, other):
    """Days, times, durations, commits, ids, and what `ls -l` says of sizes and owners."""
    first, second = (canonical({"messages": [{"role": "user", "content": text}]}) for text in (one, other))
    assert first == second


def test_numbers_and_names_stay_what_they_are():
    """Blurring stops at what looks like a value of its own."""
    text = "12345 * 6789 = 83810205; port 8080, line 12, version 3.11, decade, feedback, 5 s"
    assert canonical({"messages": [{"role": "user", "content": text}]})["messages"][0]["content"][0]["text"] == text


def reminder(text: str) -> str:
    return f"<system-reminder>\n{text}\n</system-reminder>"


INSTRUCTIONS = (
    "Codebase and user instructions are shown below. Be sure to adhere to these instructions. IMPORTANT: These "
    "instructions OVERRIDE any default behavior and you MUST follow them exactly as written.\n\n"
)
OWN = "Contents of ~/.claude/CLAUDE.md (user's private global instructions for all projects):\n\nBe brief.\n\nAlways."
PROJECT = "Contents of /place/a/CLAUDE.md (project instructions, checked into the codebase):\n\nUse tabs."

LEFT = "<total_tokens>149945 tokens left</total_tokens>"
WORDS = st.sampled_from(
    [
        *("/place/a", "/place/a/b", "/place/ab", " ", "x", "2026-11-21", "1a2b3c4", "audit-x1", "⟦cwd⟧", "/tmp/x", "."),
        *("# Environment\n", "You have been invoked", STATUS, TAIL, "# gitStatus\n", "\n", "0.5 s", LINE, "-work-a"),
        *(
            "\n\n",
            reminder(LEFT),
            reminder("You are powered by the model m."),
            "<system-reminder>\n",
            INSTRUCTIONS,
            OWN,
        ),
    ]
)
TEXTS = st.lists(WORDS, max_size=8).map("".join)
BLOCKS = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    TEXTS.map(lambda text: {"type": "tool_use", "id": text, "name": "Glob", "input": {"path": text}}),
    TEXTS.map(lambda text: {"type": "tool_result", "tool_use_id": text, "content": text}),
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": st.lists(BLOCKS)}),
    max_size=4,
)


@settings(deadline=None)
@given(MESSAGES)
def test_a_canon_is_its_own_canon(messages):
    """What has been brought into the form in which requests are compared stays as it is."""
    once = canonical({"model": "m", "messages": messages})
    assert canonical(copy.deepcopy(once)) == once


@given(TEXTS)
def test_hiding_twice_is_hiding_once(text):
    """Names of places hold no places."""
    hidden = places("/place/a").hide(text)
    assert places("/place/a").hide(hidden) == hidden


@given(st.lists(st.sampled_from(["/place/a", "/place/a/b.txt", "/place/ab", " ", "x.", ",", "audit-x1"])).map("".join))
def test_what_is_hidden_can_be_shown_in_another_place(text):
    """A text with places hidden here and shown there is what would have been written there."""
    there = Places([("cwd", "/home/ci/other"), ("run", "audit-y2")])
    shown = there.show(Places([("cwd", "/place/a"), ("run", "audit-x1")]).hide(text))
    assert places("/place/a").show(places("/place/a").hide(text)) == text
    assert there.hide(shown) == Places([("cwd", "/place/a"), ("run", "audit-x1")]).hide(text)


def test_the_place_of_an_attempt_counts_before_those_of_all(tmp_path, monkeypatch):
    """Where it works is ⟦cwd⟧ also where that is the run's directory; the private folder of the run is known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "kept"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    found = places_of(replaced(str(tmp_path)), "s9")
    text = f"{tmp_path}/a, {tmp_path}/kept/workspaces/r/t, {tmp_path}/tmp/orchestrator-abcd1234/config/agent-12345678/x"
    hidden = found.hide(text)
    assert hidden == "⟦cwd⟧/a, ⟦orchestrator⟧/workspaces/⟦run⟧/t, ⟦agent⟧/x".replace("⟦run⟧", "r")
    assert found.show(hidden) == text


def replaced(path: str) -> Any:
    return replace(make_attempt("x"), workspace=WorkspaceSpec(path=path))


def test_a_credential_in_a_text_is_hidden():
    """An agent may print its environment: the key that came with the request does not get into the file."""
    secret = "sk-ant-api03-" + "k" * 30
    assert Places([], [secret]).hide(f"KEY={secret}") == "KEY=⟦credential⟧"


def test_the_account_is_neither_kept_nor_compared():
    """The CLI tells the model whose account it is: the file does not, and one without an account matches."""
    mail = "# userEmail\nThe user's email address is ann.b@example.com. Use it only to identify the user."
    told = request()
    told["messages"][0]["content"][0]["text"] = f"{STATUS}{mail}\n# currentDate\nToday{TAIL}"
    hidden = places("/place/a").hide(told)
    assert "example.com" not in json.dumps(hidden)
    assert key_of(canonical(hidden)) == key_of(canon())


def test_half_a_letter_is_no_hindrance():
    """A text that a tool has cut inside a letter has a key, and it is the one of what the file holds of it."""
    assert key_of({"text": "cut \ud83d"}) == key_of({"text": "cut ?"})


def test_what_is_left_of_the_context_and_the_models_name_make_no_difference():
    """The CLI tells both to some models, among the first words and behind a tool's result, whose end it trims."""
    bare, told = request(), request()
    block(bare, 3, 0)["content"] = "one\n2\t"
    block(told, 3, 0)["content"] = "one\n2\n\n" + reminder("<total_tokens>149945 tokens left</total_tokens>")
    said = ("<total_tokens>15000 tokens left</total_tokens>", "You are powered by the model named S. It is s-1.")
    told["messages"][0]["content"][:0] = [{"type": "text", "text": reminder(text)} for text in said]
    assert key_of(canonical(told)) == key_of(canonical(bare))
    assert canonical(told)["messages"][3]["content"][0]["content"] == [{"type": "text", "text": "one\n2"}]


def told_first(text: str) -> str:
    """The key of the request in which the CLI has told something more."""
    asked = request()
    asked["messages"][0]["content"].insert(0, {"type": "text", "text": reminder(text)})
    return key_of(canonical(asked))


def test_the_users_own_instructions_make_no_difference_and_the_projects_do():
    """A CLAUDE.md of the one who recorded it is nowhere else; that of the repository is part of what is asked."""
    assert told_first(INSTRUCTIONS + OWN) == key_of(canonical(request()))
    assert told_first(f"{INSTRUCTIONS}{OWN}\n\n{PROJECT}") == told_first(INSTRUCTIONS + PROJECT)
    assert told_first(INSTRUCTIONS + PROJECT) != key_of(canonical(request()))
    assert told_first(INSTRUCTIONS + PROJECT) != told_first(INSTRUCTIONS + PROJECT.replace("tabs", "spaces"))
