"""Tests of the standard's tables: facts that were looked up in PS3.3, PS3.6 and PS3.15 by hand."""
