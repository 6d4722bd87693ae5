"""Folds what agents at work tell each other, and wait for."""

from orchestrator.events import MessageSent, MessagesRead, Published, TaskWaits
from orchestrator.state.figures import Figures, Folds


def task_waits(run: Figures, event: TaskWaits, at: float) -> None:
    run.tasks[event.task].doing = f"waiting for {event.waits_for}" if event.waits_for else None


def message_sent(run: Figures, event: MessageSent, at: float) -> None:
    run.tasks[event.task].doing = f"writing to {event.to}"


def messages_read(run: Figures, event: MessagesRead, at: float) -> None:
    pass


def published(run: Figures, event: Published, at: float) -> None:
    run.tasks[event.task].doing = f"publishing {event.key}"


FOLDS: Folds = {
    TaskWaits: task_waits,
    MessageSent: message_sent,
    MessagesRead: messages_read,
    Published: published,
}
