"""Auditing games: models with a hidden motive, auditors with and without an NLA, and how often they find it.

organism file -> ``Organism`` (open part, secret part) -> ``Auditee`` (what an auditor may touch) -> auditor -> ``AuditorReport``
-> ``grade`` -> ``Grade`` -> table of win rates. Nothing behind the auditee knows the secret part; the grader is the first that reads it.
"""
