import runpy
from pathlib import Path
from typing import Any

import pytest
from talking import Talk

pytestmark = pytest.mark.anyio

QUESTIONS = {
    "type": "object",
    "properties": {
        "questions": {
            "type": "array",
            "items": {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
        }
    },
    "required": ["questions"],
}
VERDICT = {
    "type": "object",
    "properties": {
        "answer": {"enum": ["yes", "partial", "no"]},
        "obviousness": {"type": "integer", "minimum": 1, "maximum": 10},
        "gap": {"type": "string"},
        "evidence": {"type": "string"},
    },
    "required": ["answer", "obviousness", "gap", "evidence"],
    "additionalProperties": False,
}
ASK = (
    "Ask {n} questions that a newcomer would ask about «{topic}» and that this documentation should answer. "
    "Look at the files first."
)
CHECK = "Is this question answered by the documentation here? Question: {} Answer yes, partial or no; score 1-10."


async def check(docs: Path, question: str, **given: Any) -> Any:
    return await Talk(docs, schema=VERDICT, **given).ask(CHECK.format(question))


async def test_a_question_whose_words_stand_together_is_answered(docs: Path) -> None:
    """What is explained under a heading gives the best verdict, with the file and line, and no gap."""
    verdict = await check(docs, "How do I install kettle with pip?")
    assert verdict["answer"] == "yes"
    assert verdict["evidence"] == "README.md:7"
    assert verdict["gap"] == "none"
    assert verdict["obviousness"] >= 8


async def test_a_question_about_nothing_here_is_not_answered(docs: Path) -> None:
    """Words that occur nowhere give the worst verdict, and are named as the gap."""
    verdict = await check(docs, "How do I deploy to Kubernetes?")
    assert verdict == {
        "answer": "no",
        "obviousness": 1,
        "gap": "deploy, kubernetes",
        "evidence": "nothing found",
    }


async def test_a_question_with_half_its_words_is_partly_answered(docs: Path) -> None:
    """The verdict in the middle goes to a question some of whose words are explained."""
    verdict = await check(docs, "Which Python version is required for installation on Windows?")
    assert verdict["answer"] == "partial"
    assert "windows" in verdict["gap"]


async def test_an_explanation_deep_in_the_documents_is_less_obvious(docs: Path) -> None:
    """The same verdict scores lower where the evidence is harder to find."""
    front = await check(docs, "How do I install kettle?")
    deep = await check(docs, "What is the log_level for debug?")
    assert front["answer"] == deep["answer"] == "yes"
    assert front["obviousness"] > deep["obviousness"]


async def test_files_are_read_where_there_is_no_search(docs: Path) -> None:
    """With Read and Glob alone the evidence is the same as with Grep."""
    talk = Talk(docs, ("Read", "Glob"), VERDICT)
    verdict = await talk.ask(CHECK.format("How do I set the timeout?"))
    assert talk.used[0] == "Glob"
    assert (verdict["answer"], verdict["evidence"]) == ("yes", "docs/configuration.md:5")


async def test_questions_are_distinct_and_as_many_as_asked(docs: Path) -> None:
    """The number in the prompt is the number of questions, and no two are alike."""
    given = await Talk(docs, schema=QUESTIONS).ask(ASK.format(n=17, topic="installation and set-up"))
    asked = [item["question"] for item in given["questions"]]
    assert len(set(asked)) == len(asked) == 17
    assert "Does the documentation explain “Installation”?" in asked


async def test_other_topics_give_other_questions(docs: Path) -> None:
    """Two prompts about the same files are answered differently."""
    first = await Talk(docs, schema=QUESTIONS).ask(ASK.format(n=5, topic="installation"))
    second = await Talk(docs, schema=QUESTIONS).ask(ASK.format(n=5, topic="logging"))
    assert first != second


async def test_comments_in_code_are_no_headings(docs: Path) -> None:
    """A line that begins with # inside a fence gives no question of its own."""
    given = await Talk(docs, schema=QUESTIONS).ask(ASK.format(n=12, topic="download and installation"))
    assert not any("explain “Download first”" in item["question"] for item in given["questions"])


async def test_the_audit_gives_all_three_verdicts(docs: Path) -> None:
    """The model's own questions, put back to it, are not all answered alike."""
    given = await Talk(docs, schema=QUESTIONS).ask(ASK.format(n=10, topic="installation and set-up"))
    answers = {(await check(docs, item["question"]))["answer"] for item in given["questions"]}
    assert answers == {"yes", "partial", "no"}


async def test_fifty_questions_of_eight_categories(docs: Path) -> None:
    """The example's questions are all different; each has a verdict of its own, whose evidence is a line that is there.

    That goes for the audit in its full size, of which the real CLI asks and checks a few categories.
    """
    audit = runpy.run_path(str(Path(__file__).parents[3] / "examples" / "doc_audit" / "audit.py"))
    asked = [
        item["question"]
        for topic, count in audit["CATEGORIES"].items()
        for item in (await Talk(docs, schema=QUESTIONS).ask(audit["ASK"].format(count=count, topic=topic)))["questions"]
    ]
    assert len(set(asked)) == len(asked) == 50
    checks = [await Talk(docs, schema=VERDICT).ask(audit["CHECK"].format(question=question)) for question in asked]
    assert {check["answer"] for check in checks} == {"yes", "partial", "no"}
    for check in checks:
        assert 1 <= check["obviousness"] <= 10
        if check["answer"] != "no":
            file, _, line = check["evidence"].partition(":")
            assert docs.joinpath(file).read_text().splitlines()[int(line) - 1].strip()
