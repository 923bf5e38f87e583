"""Scanners: what an explanation, or a turn of the target's own text, says. A scanner judges wording and sees nothing else."""
