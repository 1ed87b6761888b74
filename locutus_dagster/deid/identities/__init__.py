"""Keyed identities: pseudonyms, date shifts, and the keys that they are derived from.

What belongs here: everything that depends on a secret. What does not: what gets a pseudonym.
"""
