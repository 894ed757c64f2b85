"""What a methods section says of a fit: a paragraph and a table, with nothing in them that was not computed.

``equations`` writes models out · ``paragraph`` tells data, model, estimation, priors and checks · ``tables`` makes the
table of parameters and writes tables as markdown and LaTeX · ``description`` puts them together (`describe`).
"""

from hierrl.describe.description import Description, describe

__all__ = ["Description", "describe"]
