"""Saying what the transformation would do, without doing it.

What belongs here: the walk over an instance (`walk.py`), where in it the walk is (`places.py`), and
what is said of an element (`rows.py`). What does not: the question (`deid/explain.py`), printing.
"""
