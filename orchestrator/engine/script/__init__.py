"""What a script holds of its run: tasks, patterns, groups, questions."""
