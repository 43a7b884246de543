"""HTML as a tree of elements: what comes from outside is text or an attribute, never markup.

Escaping is the serialiser's, so nothing can be forgotten. Knows nothing of results.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

Child: TypeAlias = "Element | str | None"


def el(tag: str, *children: Child, **attributes: object) -> Element:
    """``el("td", "1 < 2", class_="number", data_unit="ms")``.

    Children that are None are left out, and so are attributes that are None or False; True makes
    an attribute without a value. A trailing ``_`` is dropped, others become ``-``.
    """
    element = Element(tag, _attributes(attributes))
    add(element, *children)
    return element


def add(parent: Element, *children: Child) -> None:
    for child in children:
        if isinstance(child, str):
            _add_text(parent, child)
        elif child is not None:
            parent.append(child)


def listed(tag: str, items: Iterable[Child], **attributes: object) -> Element:
    """An element whose children come from an iterable."""
    return el(tag, *items, **attributes)


def document(html: Element) -> str:
    text: str = tostring(html, encoding="unicode", method="html")
    return f"<!doctype html>\n{text}\n"


def _attributes(given: dict[str, object]) -> dict[str, str]:
    return {
        name.rstrip("_").replace("_", "-"): "" if value is True else str(value)
        for name, value in given.items()
        if value is not None and value is not False
    }


def _add_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text
