"""A report of fits for readers who run no code: one HTML file that needs nothing beside it.

``study``, ``models``, ``subjects``, ``population``, ``comparison``, ``methods`` and ``trust`` say what a section holds;
``parts`` are the pieces that they are made of, ``equations`` writes MathML, ``figures`` makes plots part of the page ·
``make`` puts it together with ``page.html.jinja`` and ``page.css``.
"""

from hierrl.report.make import report

__all__ = ["report"]
