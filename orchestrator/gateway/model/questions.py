"""Makes distinct questions about a topic, from what was found and from what people ask of anything."""

from collections.abc import Iterator
from itertools import chain, count, zip_longest

from orchestrator.gateway.model.evidence import Evidence
from orchestrator.gateway.model.words import Topic

_ALWAYS = (
    "What is needed before {topic}?",
    "How can I check that {topic} worked?",
    "What does an error during {topic} mean?",
    "How do I undo {topic}?",
    "Which versions does {topic} support?",
    "Is there a complete example of {topic}?",
    "How long does {topic} take?",
    "What are the defaults of {topic}?",
    "Which permissions does {topic} require?",
    "What changes for {topic} on Windows?",
    "How is {topic} upgraded?",
    "Where are the limits of {topic} stated?",
)


def make_questions(evidence: Evidence) -> Iterator[str]:
    """Questions without end, no two alike; those about what was found take turns with general ones."""
    topic = name_topic(evidence.topic)
    found = chain(
        (_ask_about(heading, topic, evidence) for heading in evidence.headings),
        (f"What does “{line.text.strip(' #*->`|')}” mean for {topic}?" for line in evidence.lines if not line.heading),
    )
    general = (template.format(topic=topic) for template in _ALWAYS)
    mixed = (question for pair in zip_longest(found, general) for question in pair if question)
    more = (f"What else about {topic} is worth knowing ({number})?" for number in count(1))
    seen: set[str] = set()
    for question in chain(mixed, more):
        if question not in seen:
            seen.add(question)
            yield question


def _ask_about(heading: str, topic: str, evidence: Evidence) -> str:
    told = bool(evidence.topic.found_in(heading))
    return f"Does the documentation explain “{heading}”?" if told else f"What does “{heading}” mean for {topic}?"


def name_topic(topic: Topic) -> str:
    """The topic in a few words."""
    return topic.phrase.rstrip("?") if len(topic.phrase) <= 60 else " ".join(topic.words[:4]) or "this"
