"""The version of the engine's rules.

What belongs here: that one number, below everything that states it.
"""

from __future__ import annotations

__all__ = ["ENGINE_VERSION"]

#: Version of the rules as carried out: to be raised with every change that alters an output.
ENGINE_VERSION = "0.2"
