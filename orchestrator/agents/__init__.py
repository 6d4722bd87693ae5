"""The one place that knows the SDK: Claude CLI processes, their messages, and how they end."""
