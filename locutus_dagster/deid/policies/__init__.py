"""Which rule applies to which attribute: chosen by name, from a file, and compiled once.

What belongs here: options, overrides, policy files, and the decision about one attribute. What
does not: carrying a decision out on bytes (`cleaning`).
"""
