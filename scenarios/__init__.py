"""Scenarios: Inspect tasks with scorers of behaviour. They know nothing of natural language autoencoders."""
