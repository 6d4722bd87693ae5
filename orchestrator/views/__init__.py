"""Views: show a run to somebody, from its journal alone, live, later, or from another process."""
