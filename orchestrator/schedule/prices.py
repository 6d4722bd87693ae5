"""What replies cost that no result has told of yet: learned per model from those that have ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.task import Spent

OUTPUT, CACHE_WRITE, CACHE_READ = 5.0, 1.25, 0.1
"""What a token costs, measured in input tokens: the API's published ratios, the same for all models of a generation.

https://docs.claude.com/en/docs/about-claude/pricing and https://docs.claude.com/en/docs/build-with-claude/prompt-caching
"""


def weigh(spent: Spent) -> float:
    """The tokens, as if all were input tokens."""
    cached = CACHE_WRITE * spent.cache_write_tokens + CACHE_READ * spent.cache_read_tokens
    return spent.input_tokens + OUTPUT * spent.output_tokens + cached


@dataclass(slots=True)
class Prices:
    """US dollars per input token, by model."""

    _usd: dict[str, float] = field(default_factory=dict)
    _tokens: dict[str, float] = field(default_factory=dict)

    def learn(self, models: Mapping[str, Spent]) -> None:
        """What a result tells of its models."""
        for model, spent in models.items():
            if tokens := weigh(spent):
                self._usd[model] = self._usd.get(model, 0.0) + spent.usd
                self._tokens[model] = self._tokens.get(model, 0.0) + tokens

    def reckon(self, model: str | None, spent: Spent) -> float:
        """US dollars of tokens; by the dearest known model for one of which nothing is known, and by none for 0."""
        if model in self._tokens:
            return weigh(spent) * self._usd[model] / self._tokens[model]
        return weigh(spent) * max((self._usd[each] / self._tokens[each] for each in self._tokens), default=0.0)
