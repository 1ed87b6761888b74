"""The one base class of the errors that a person is meant to read.

What belongs here: `LocutusError` and nothing else that a room could define for itself. Each room
derives its own errors from it, beside the code that raises them.

Two rules hold for every message: it says what to do next, and it quotes no identifier (no name,
no accession number, no patient ID, no original UID, no file name that might carry one).
"""

from __future__ import annotations

__all__ = ["LocutusError", "describe_unexpected"]


class LocutusError(Exception):
    """An error with a message for operators, free of identifiers.

    Args:
        message: what went wrong, in one sentence.
        hint: what to do next, in one sentence; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


def describe_unexpected(error: BaseException) -> str:
    """Describe an exception by its type and place only, never by its text.

    The text of a foreign exception may quote a value out of a DICOM header, a path or an SQL
    parameter. The place (module and line of the innermost frames of this package) is enough to
    find the fault and cannot identify anybody.
    """
    if isinstance(error, LocutusError):
        return str(error)
    places: list[str] = []
    traceback = error.__traceback__
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "?")
        if module.startswith("locutus_dagster"):
            places.append(f"{module.removeprefix('locutus_dagster.')}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    where = f" at {' > '.join(places[-3:])}" if places else ""
    errno = getattr(error, "errno", None)
    number = f" (errno {errno})" if isinstance(errno, int) else ""
    return f"unexpected {type(error).__name__}{number}{where}"
