"""Evidence that a sceptic accepts: recurrence, claim ablation, context checks, and the written rules that turn them into levels."""
