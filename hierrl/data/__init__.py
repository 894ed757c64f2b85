"""A table of choices becomes behaviour: the one format that everything else takes.

``table`` holds a table while it is read and words its errors · ``reading`` opens files · ``columns`` finds
which column is what · ``values`` turns columns into numbers, labels and flags · ``codes`` and ``arms``
understand choices · ``order`` sorts rows · ``outcomes``, ``by_arm`` and ``covariates`` read the rest ·
``assemble`` puts it together (`behaviour`) · ``validity`` checks a Dataset that comes from elsewhere ·
``splitting`` and ``export`` are `split` and `to_table`.
"""

from hierrl.data.assemble import behaviour
from hierrl.data.export import to_table
from hierrl.data.splitting import split
from hierrl.data.validity import check_behaviour

__all__ = ["behaviour", "check_behaviour", "split", "to_table"]
