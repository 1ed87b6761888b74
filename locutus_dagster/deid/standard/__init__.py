"""What the DICOM standard says, as data: no decisions.

What belongs here: the tables of PS3.3, PS3.6 and PS3.15 in the project's own form, each with its
edition, and typed lookups over them. What does not: what the engine makes of them (`policies`).
"""
