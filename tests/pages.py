"""Reads an HTML page for tests: is it well-formed, what does it ask for, what do its tables hold?"""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link", "source", "wbr", "col", "area", "base", "embed", "track"}
INSIDE_P = {
    "div",
    "p",
    "table",
    "ul",
    "ol",
    "dl",
    "section",
    "article",
    "h1",
    "h2",
    "h3",
    "figure",
    "details",
}
"""What a paragraph can't hold: a browser would end it there."""


class Page(HTMLParser):
    """A page, read once: `faults`, `ids`, `links`, `tables` by caption, `headings`, `text`."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.faults: list[str] = []
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.asked: list[tuple[str, str]] = []
        """(tag, address) of what a browser would load."""
        self.tags: Counter[str] = Counter()
        self.headings: list[tuple[int, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.labels: list[str] = []
        """Of pictures."""
        self._open: list[str] = []
        self._pieces: list[str] = []
        self._marks: list[int] = []
        self._table: list[list[str]] = []
        self._caption = ""
        self.feed(html)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]
        self.faults += [f"two elements are called {name!r}" for name, n in self.ids.items() if n > 1]
        self.faults += [f"#{link} leads nowhere" for link in self.links if link not in self.ids]

    @property
    def text(self) -> str:
        """All text, spaces made one."""
        return " ".join("".join(self._pieces).split())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags[tag] += 1
        if tag in INSIDE_P and "p" in self._open and "svg" not in self._open:
            self.faults.append(f"<{tag}> inside <p> in line {self.getpos()[0]}")
        if "id" in given:
            self.ids[given["id"] or ""] += 1
        for name in ("href", "xlink:href", "src", "action", "data", "poster", "srcset"):
            address = given.get(name)
            if address is None:
                continue
            if address.startswith("#"):
                self.links.append(address[1:])
            else:
                self.asked.append((tag, address))
        if tag == "svg" and given.get("aria-hidden") != "true":
            self.labels.append(given.get("aria-label") or "")
        if tag == "table":
            self._table, self._caption = [], ""
        if tag == "tr":
            self._table.append([])
        if tag not in VOID:
            self._open.append(tag)
            self._marks.append(len(self._pieces))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()
            self._marks.pop()

    def handle_endtag(self, tag):
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> in line {self.getpos()[0]} closes {self._open[-1:]}")
            return
        self._open.pop()
        inner = " ".join("".join(self._pieces[self._marks.pop() :]).split())
        if tag in ("td", "th"):
            self._table[-1].append(inner)
        elif tag == "caption":
            self._caption = inner
        elif tag == "table":
            self.tables[self._caption] = self._table
        elif re.fullmatch(r"h[1-6]", tag):
            self.headings.append((int(tag[1]), inner))

    def handle_data(self, data):
        if self._open and self._open[-1] in ("style", "script"):
            return
        self._pieces.append(data)
        if self._open and self._open[-1] not in ("math", "mi", "mo", "mn"):
            self._pieces.append(" ")
