"""Measurements: generated studies, and the one command that takes every figure in one run."""
