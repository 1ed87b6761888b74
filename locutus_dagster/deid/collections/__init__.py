"""Collections: the files of a person who has a file, a folder or a zip, and no pipeline.

What belongs here: where files come from (`inputs.py`), finding the studies among them and working
through these (`work.py`), where the results go (`outputs.py`), and the list of what became of each
file (`report.py`). What does not: what is done to a study (`deid/study.py`), arguments and what is
printed (the caller's).
"""
