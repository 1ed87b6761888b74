"""Carrying a policy out: from a walked instance to the bytes of its de-identified data set.

What belongs here: replacing, cleaning and removing values. What does not: choosing what happens to
an attribute (`policies`), verifying the result (`verification`).
"""
