"""Does the output hold anything that identified the input?

What belongs here: collecting identifiers, and searching what was written for them. What does not:
what a hit means for an instance (`study.py`).
"""
