"""Where each key of a TOML document stands, so that a fault can name its line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from dispatch.crosscheck import FieldPath

_LANGUAGE = Language(tree_sitter_toml.language())
_KEYS = frozenset({"bare_key", "quoted_key", "dotted_key"})


class Positions:
    """Lines by path: ``("intent", 2, "route")``. Built from text that is valid TOML."""

    def __init__(self, text: str) -> None:
        self._lines: dict[FieldPath, int] = {(): 1}
        self._counts: dict[FieldPath, int] = {}
        for node in Parser(_LANGUAGE).parse(text.encode()).root_node.named_children:
            self._statement(node)

    def line(self, path: FieldPath) -> int:
        """The line of ``path``, counted from 1; of what is nearest above it where it is missing."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _statement(self, node: Node) -> None:
        match node.type:
            case "pair":
                self._pair((), node)
            case "table" | "table_array_element":
                path = self._header(node, is_array=node.type == "table_array_element")
                self._lines.setdefault(path, _line(node))
                for child in node.named_children:
                    if child.type == "pair":
                        self._pair(path, child)

    def _header(self, node: Node, *, is_array: bool) -> FieldPath:
        """The path of a table; ``[intent.x]`` belongs to the latest ``[[intent]]``."""
        key = next(child for child in node.named_children if child.type in _KEYS)
        names = _names(key)
        path: FieldPath = ()
        for depth, name in enumerate(names):
            path = (*path, name)
            self._lines.setdefault(path, _line(node))
            if path in self._counts and not (is_array and depth == len(names) - 1):
                path = (*path, self._counts[path] - 1)
        if is_array:
            index = self._counts.get(path, 0)
            self._counts[path] = index + 1
            path = (*path, index)
        return path

    def _pair(self, base: FieldPath, node: Node) -> None:
        key, *_, value = (child for child in node.named_children if child.type != "comment")
        path = base
        for name in _names(key):
            path = (*path, name)
            self._lines.setdefault(path, _line(node))
        self._value(path, value)

    def _value(self, path: FieldPath, node: Node) -> None:
        children = [child for child in node.named_children if child.type != "comment"]
        match node.type:
            case "inline_table":
                for child in children:
                    self._pair(path, child)
            case "array":
                for index, child in enumerate(children):
                    self._lines[(*path, index)] = _line(child)
                    self._value((*path, index), child)


def _line(node: Node) -> int:
    return int(node.start_point[0]) + 1


def _names(key: Node) -> list[str]:
    """The names of a bare, quoted or dotted key, as the TOML reader has them."""
    text = (key.text or b"").decode()
    value: object = tomllib.loads(f"{text} = 1")
    names: list[str] = []
    while isinstance(value, Mapping):
        name, value = next(iter(value.items()))
        names.append(name)
    return names
