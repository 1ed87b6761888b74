"""`locutus demo`: a research PACS of invented patients, processed from manifest to table.

What belongs here: the demo's PACS (`pacs.py`, its cast in `cast.py`) and the run through it.
What does not: anything that the product needs when no demo is asked for.
"""
