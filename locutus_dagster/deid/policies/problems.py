"""What is wrong with a policy file, told all at once and without quoting the file.

What belongs here: the error, the list that grows while a file is read, and reading a file's text.
What does not: knowing what a file may say (`reading.py`, `spec_file.py`, `white_lists.py`).

A message names the file, the line, and words of the engine's own. It never quotes what stands in
the file: somebody may give the path of a patient list by mistake.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from locutus_dagster.deid.faults import DeidError

__all__ = ["MistakeError", "PolicyFileError", "Problems", "read_text", "suggestion"]

#: Nobody reads more; a file with so many is read no further.
_MOST_PROBLEMS = 50

#: Longer words are not compared with others: comparing is slow.
_LONGEST_WORD = 64


class PolicyFileError(DeidError):
    """A policy cannot be used as it is written.

    Args:
        problems: each as "file name, line N: what is wrong and what to write instead".
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        message = "The policy has a problem." if count == 1 else f"The policy has {count} problems."
        super().__init__(message, "\n".join(self.problems))


class MistakeError(Exception):
    """Something is wrong at one place; whoever catches it knows the place.

    Args:
        text: what is wrong and what to write instead; quotes nothing from a file.
    """


class Problems:
    """The problems of one file, and of the files that it names.

    Args:
        file: the file's name without its folder.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def many(self) -> bool:
        """Whether so many problems are known that reading on is of no use."""
        return len(self._found) >= _MOST_PROBLEMS

    def place(self, line: int | None) -> str:
        """Return a place for people, such as "site.yaml, line 7"; lines count from 1."""
        return self._file if line is None else f"{self._file}, line {line}"

    def add(self, line: int | None, text: str) -> None:
        """Note what is wrong in a line, or with the file as a whole."""
        if not self.many:
            self._found.append((line or 0, f"{self.place(line)}: {text}"))

    def include(self, error: PolicyFileError) -> None:
        """Note the problems of another file, which this one names."""
        self._found.extend((0, problem) for problem in error.problems)

    @contextmanager
    def at(self, line: int | None) -> Iterator[None]:
        """Turn a `MistakeError` that is raised inside into a problem of this line, and go on."""
        try:
            yield
        except MistakeError as mistake:
            self.add(line, str(mistake))

    def raise_any(self) -> None:
        """Raise what was found, in the order of the lines; other files come first.

        Raises:
            PolicyFileError: there are problems.
        """
        if self._found:
            more = [f"{self._file}: there may be more problems"] if self.many else []
            found = sorted(self._found, key=lambda problem: problem[0])
            raise PolicyFileError([text for _, text in found] + more)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the most similar of the known words, or ""."""
    if len(word) > _LONGEST_WORD:
        return ""
    lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.7)
    return f"; did you mean {lower[close[0]]}?" if close else ""


def read_text(path: Path, *, most: int, fallback: str = "") -> str:
    """Return the text of a file, UTF-8 with or without a byte order mark.

    Args:
        path: the file.
        most: the largest size in bytes.
        fallback: an encoding that stands in where the text is not UTF-8.

    Raises:
        MistakeError: there is no such file, or it is no text, or too large.
    """
    try:
        if not path.is_file():
            raise MistakeError("there is no such file")
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except (OSError, ValueError):  # ValueError: no file can have this name
        raise MistakeError("the file cannot be read; check its permissions") from None
    if len(content) > most:
        raise MistakeError(f"the file is larger than {most >> 10} KiB; is it the right one?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if fallback:
            return content.decode(fallback)
        raise MistakeError("the file is not UTF-8 text; save it as UTF-8") from None
