"""The offline model: rules in the place of a language model."""
