"""YAML without surprises: text, lists and mappings, each with its line.

What belongs here: the part of YAML that a policy file may use, and typed access to it. What does
not: which keys there are (`reading.py`, `overrides.py`).

Every value is read as the text that stands in the file: `no` is a word and `00081030` a tag,
where YAML would see a truth value and a number. Anchors, aliases, tags, merged keys, keys that
occur twice and deep nesting are refused; a short file cannot ask for much work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import yaml
from yaml.composer import ComposerError
from yaml.reader import ReaderError

from locutus_dagster.deid.policies.problems import MistakeError, Problems, suggestion

__all__ = ["Entries", "Node", "compose", "items", "line_of", "text_of", "texts_of"]

Node = yaml.Node
_T = TypeVar("_T")
_S = TypeVar("_S")

_DEEPEST = 12
_NULL = "tag:yaml.org,2002:null"

#: What PyYAML quotes in its messages; kinds of tokens and single characters say nothing.
_QUOTED = re.compile(r"(['\"])(.*?)\1", re.DOTALL)
_HARMLESS = re.compile(r"<[a-z ]+>|.")


class _Loader(yaml.SafeLoader):
    """Composes nodes, and refuses what a policy file has no use for before going into it."""

    _depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: yaml.NodeEvent = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            raise _refused("write out what the anchor or alias (& or *) stands for", event)
        if getattr(event, "tag", None) is not None:
            raise _refused("leave out the tag (!)", event)
        if self._depth == _DEEPEST:
            raise _refused("this is nested too deeply", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _refused(text: str, event: yaml.Event) -> ComposerError:
    return ComposerError(None, None, text, cast("yaml.Mark", event.start_mark))


def compose(text: str, problems: Problems) -> Node | None:
    """Return the root node of a YAML document, None where it is empty or cannot be read.

    Args:
        text: the document.
        problems: receives why it cannot be read, with the line.
    """
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except ReaderError as error:
        problems.add(text.count("\n", 0, error.position) + 1, "no text file has this character")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = ", ".join(part for part in (error.context, error.problem) if part)
        told = _QUOTED.sub(_unquoted, told)
        problems.add(mark.line + 1 if mark else None, f"cannot be read as YAML: {told}")
    except (ValueError, OverflowError):
        # PyYAML trips over numbers that are too large, in escapes and in directives.
        problems.add(None, "cannot be read as YAML: an escape or a directive has no meaning")
    return None


def _unquoted(match: re.Match[str]) -> str:
    return match[0] if _HARMLESS.fullmatch(match[2]) else "what stands there"


def line_of(node: Node) -> int:
    """Return the line in which a node starts, counted from 1."""
    return int(node.start_mark.line) + 1


def text_of(node: Node) -> str:
    """Return a scalar as it stands in the file, without surrounding spaces.

    Raises:
        MistakeError: it is empty, a list or a mapping, or holds control characters.
    """
    if not isinstance(node, yaml.ScalarNode):
        raise MistakeError("write one value here, not a list or a mapping")
    text = str(node.value).strip()
    if node.tag == _NULL or (not text and node.style is None):
        raise MistakeError("a value is missing")
    if not text.isprintable():
        raise MistakeError("write the value in one line, without control characters")
    return text


def items(node: Node) -> list[Node]:
    """Return the nodes of a list.

    Raises:
        MistakeError: it is no list.
    """
    if not isinstance(node, yaml.SequenceNode):
        raise MistakeError("write a list here, such as [first, second]")
    return list(node.value)


def texts_of(node: Node, problems: Problems) -> list[tuple[int, str]]:
    """Return the scalars of a list with their lines; those that are none become problems.

    Raises:
        MistakeError: it is no list.
    """
    found = []
    for one in items(node):
        with problems.at(line_of(one)):
            found.append((line_of(one), text_of(one)))
    return found


class Entries:
    """The entries of a mapping; unknown and repeated keys become problems.

    Args:
        node: the mapping.
        known: the keys that there are.
        problems: receives what is wrong.

    Raises:
        MistakeError: the node is no mapping.
    """

    def __init__(self, node: Node, known: Sequence[str], problems: Problems) -> None:
        if not isinstance(node, yaml.MappingNode):
            raise MistakeError("write a mapping here: key: value")
        self._problems = problems
        self._nodes: dict[str, Node] = {}
        self.complete = True  # whether every entry is known and stands here once
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name in known and name not in self._nodes:
                self._nodes[name] = value
                continue
            self.complete = False
            if name in known:
                problems.add(line_of(key), f"{name} is written twice; leave one out")
            elif not problems.many:
                near = suggestion(name, known) or f"; there are {', '.join(known)}"
                problems.add(line_of(key), f"there is no such key{near}")

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    def line(self, key: str) -> int | None:
        """Return the line of a value, None where the key is missing."""
        return line_of(self._nodes[key]) if key in self._nodes else None

    def take(self, key: str, read: Callable[[Node], _T], otherwise: _S) -> _T | _S:
        """Return what `read` makes of a value, or `otherwise` where it is missing or wrong."""
        node = self._nodes.get(key)
        if node is not None:
            with self._problems.at(line_of(node)):
                return read(node)
        return otherwise
