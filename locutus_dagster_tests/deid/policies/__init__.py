"""Policies: reading them, compiling them, and ruling about one attribute."""
