from pathlib import Path

import pytest
from talking import Talk

from orchestrator.gateway.model.answer import MARK
from orchestrator.gateway.model.conversation import read_conversation
from orchestrator.gateway.model.sums import find_sum
from orchestrator.gateway.model.wishes import find_count, find_paths, find_target
from orchestrator.gateway.model.words import find_topic
from orchestrator.gateway.seam import Call

pytestmark = pytest.mark.anyio


async def test_it_searches_reads_and_quotes(docs: Path) -> None:
    """A prompt about the files takes a search, a read and an answer that quotes lines with their places."""
    talk = Talk(docs)
    text = await talk.ask("How does kettle handle timeouts?")
    assert talk.used == ["Grep", "Read"]
    assert text.startswith(MARK)
    assert "docs/configuration.md:5: ## Timeouts" in text


async def test_a_file_that_is_to_be_read_is_what_the_answer_is_about(docs: Path) -> None:
    """Of a file that the prompt wants read, the answer quotes that file alone, whatever others say of the topic."""
    (docs / "other.md").write_text("# Kettle\n\nIt whistles when there are timeouts.\n")
    text = await Talk(docs).ask("Read other.md and say what it has about the timeouts of kettle.")
    assert "other.md:3" in text
    assert "configuration.md" not in text


async def test_it_says_that_nothing_was_found(docs: Path) -> None:
    """An answer about something that is not there says so and quotes nothing."""
    assert "Nothing was found about submarines" in await Talk(docs).ask("Tell me about submarines")


async def test_a_prompt_about_files_is_answered_from_their_names(docs: Path) -> None:
    """A prompt that asks for files lists them."""
    talk = Talk(docs, ("Glob",))
    assert "README.md, docs/configuration.md" in await talk.ask("Which files are here?")
    assert talk.used == ["Glob"]


async def test_few_files_are_listed_in_good_english(tmp_path: Path) -> None:
    """Of no file and of one it is said so."""
    assert "There are no files here." in await Talk(tmp_path, ("Glob",)).ask("Which files are here?")
    (tmp_path / "a.txt").touch()
    assert "1 file is here: a.txt." in await Talk(tmp_path, ("Glob",)).ask("Which files are here?")


async def test_a_refused_tool_is_not_tried_again(docs: Path) -> None:
    """A tool that was refused is named in the answer, and called once."""
    talk = Talk(docs, ("Read", "Grep"))
    talk.refused = {"Grep"}
    text = await talk.ask("How does kettle handle timeouts?")
    assert talk.used == ["Grep"]
    assert "Grep did not work: Permission denied." in text


async def test_it_writes_the_file_that_the_prompt_names(docs: Path) -> None:
    """ "Write … to poem.txt" makes that file, marked as the offline model's."""
    talk = Talk(docs, ("Read", "Grep", "Write"))
    text = await talk.ask("Write a poem about kettle logging to poem.txt")
    assert (docs / "poem.txt").read_text().startswith(MARK)
    assert "Wrote poem.txt." in text


async def test_a_sum_is_worked_out_without_looking(docs: Path) -> None:
    """Arithmetic needs one reply and no file."""
    talk = Talk(docs)
    assert await talk.ask("What is 17 * 23?") == f"{MARK} 17 * 23 = 391"
    assert talk.used == []


async def test_a_sum_fills_a_number() -> None:
    """A typed result for a calculation holds its value."""
    schema = {"type": "object", "properties": {"result": {"type": "integer"}}, "required": ["result"]}
    assert await Talk(Path("/"), (), schema).ask("What is 6 times 7?") == {"result": 42}


async def test_without_tools_it_says_what_it_is() -> None:
    """A prompt that needs a mind gets an honest paragraph, another one for another prompt."""
    first = await Talk(Path("/"), ()).ask("Write a haiku about the sea")
    second = await Talk(Path("/"), ()).ask("Translate bread into French")
    assert "not from a language model" in first
    assert first != second


async def test_a_later_turn_knows_the_one_before(docs: Path) -> None:
    """A session that goes on looks again, and remembers what it asked before."""
    talk = Talk(docs)
    await talk.ask("How does kettle handle timeouts?")
    assert "## Logging" in await talk.ask("And what about logging?")
    assert talk.used == ["Grep", "Read", "Grep", "Read"]
    plain = Talk(docs, ())
    await plain.ask("Write a haiku about the sea")
    assert "haiku about the sea" in await plain.ask("Now one about mountains")


async def test_the_same_request_gives_the_same_reply(docs: Path) -> None:
    """A request that the CLI sends again gets the same ids and words; the next one gets other ids."""
    talk = Talk(docs)
    talk.messages = [{"role": "user", "content": "How does kettle handle timeouts?"}]
    first = await talk.reply()
    talk.messages.pop()
    assert await talk.reply() == first
    talk.messages.append({"role": "user", "content": [talk.run(first["content"][0])]})
    assert (await talk.reply())["id"] != first["id"]


async def test_the_default_tools_search_by_shell(docs: Path) -> None:
    """Where the CLI offers a shell and no Grep, the search is a grep that only reads."""
    talk = Talk(docs, ("Bash", "Read"))
    await talk.ask("How does kettle handle timeouts?")
    assert talk.calls[0][1]["command"].startswith("grep -rniIE")


async def test_documentation_is_looked_for_in_prose(docs: Path) -> None:
    """A prompt about documentation searches texts alone, by either search; any other prompt searches all files."""
    prompt = "Does the documentation explain timeouts?"
    by_grep, by_shell, anywhere = Talk(docs), Talk(docs, ("Bash",)), Talk(docs)
    await by_grep.ask(prompt)
    await by_shell.ask(prompt)
    await anywhere.ask("How does kettle handle timeouts?")
    assert by_grep.calls[0][1]["glob"].startswith("*.{md,")
    assert "--include='*.md'" in by_shell.calls[0][1]["command"]
    assert "glob" not in anywhere.calls[0][1]


async def test_requests_of_the_cli_itself_get_a_short_answer() -> None:
    """A probe of one token is answered without looking at anything."""
    talk = Talk(Path("/"))
    talk.messages = [{"role": "user", "content": "quota"}]
    call = talk.call()
    probe = Call({**call.body, "max_tokens": 1}, "s1")
    assert read_conversation(probe).small
    assert not read_conversation(call).small


def test_what_the_cli_inserts_is_no_prompt() -> None:
    """Reminders, traces of /clear and nudges are not taken for the user's words."""
    blocks = [
        {"type": "text", "text": text}
        for text in (
            "<system-reminder>be brief</system-reminder>",
            "<local-command-caveat>x</local-command-caveat>",
            "<command-name>/clear</command-name>",
            "the prompt",
        )
    ]
    nudge = {"role": "user", "content": "[structured-output-enforce] You MUST call the StructuredOutput tool"}
    messages = [{"role": "user", "content": blocks}, {"role": "assistant", "content": "well"}, nudge]
    conversation = read_conversation(Call({"model": "m", "messages": messages}))
    assert [turn.prompt for turn in conversation.turns] == ["the prompt"]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("How do I install it with pip?", ("install", "pip")),
        ("Tell what «installation and set-up» needs", ("installation", "set-up")),
        ("Explain `parse_config` in detail", ("parse_config",)),
        ("Topic: retry limits\nSay what is missing.", ("retry", "limits")),
        ("How do I set up the server?", ("set-up", "server")),
    ],
)
def test_the_words_that_matter_are_found(prompt: str, words: tuple[str, ...]) -> None:
    """Quoted and labelled words come first, and the words of every prompt are left out."""
    assert find_topic(prompt).words == words


def test_other_endings_are_found_too() -> None:
    """A word is found in its other forms, and not inside another word."""
    topic = find_topic("installing set-up run")
    assert topic.found_in("Installation") == {"installing"}
    assert topic.found_in("Set up") == topic.found_in("setup") == {"set-up"}
    assert topic.found_in("pruned") == frozenset()


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("Write a haiku to poem.txt", "poem.txt"),
        ("Save the list in `out/list.md`, please", "out/list.md"),
        ("Create notes.md with three ideas", "notes.md"),
        ("Summarise README.md and write it into docs/summary.md", "docs/summary.md"),
        ("Read README.md", None),
        ("Write a haiku", None),
    ],
)
def test_the_file_to_write_is_found(prompt: str, target: str | None) -> None:
    """The path behind a verb of writing is the target; one that is only read is not."""
    assert find_target(prompt) == target


def test_paths_are_no_addresses() -> None:
    """Addresses on the web, versions and abbreviations are not taken for files."""
    assert find_paths("See src/app.py, e.g. https://a.example/b.html or 1.2.3, and docs/a.md.") == [
        "src/app.py",
        "docs/a.md",
    ]


def test_numbers_are_read_in_digits_and_words() -> None:
    """How many of a thing are wanted is read from digits and from words."""
    assert find_count("Ask 7 good questions", "question") == 7
    assert find_count("Three headlines for it", "headline") == 3
    assert find_count("Some headlines", "headline") is None


@pytest.mark.parametrize(
    ("prompt", "value"),
    [
        ("What is 17 * 23?", 391),
        ("Calculate (2 + 3) × 4", 20),
        ("what is 7 divided by 2", 3.5),
        ("12-5", 7),
        ("What is 1/0?", None),
        ("Give a score of 1-10", None),
        ("3-5 sentences about 2024-01-02", None),
        ("How do I install version 3.11?", None),
    ],
)
def test_only_what_is_asked_for_is_worked_out(prompt: str, value: float | None) -> None:
    """Arithmetic that is asked for has a value; ranges, dates and versions are left alone."""
    found = find_sum(prompt)
    assert (found[1] if found else None) == value
