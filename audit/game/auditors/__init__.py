"""Who audits: a script that needs no language model, or an agent that is one."""
