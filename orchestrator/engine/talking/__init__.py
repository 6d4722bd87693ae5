"""What agents at work do in their run: messages, a blackboard, questions, tasks of their own."""
