"""A table of choices becomes behaviour: the one format that everything else takes.

``table`` holds a table while it is read and words its errors · ``reading`` opens files · ``columns`` finds
which column is what · ``values`` turns columns into numbers, labels and flags · ``codes`` and ``arms``
understand choices · ``order`` sorts rows · ``outcomes``, ``by_arm`` and ``covariates`` read the rest ·
``assemble`` puts it together (`behaviour`) ·
``layouts`` reads arrays and other packages' tables · ``validity`` checks a Dataset that comes from elsewhere ·
``splitting`` and ``export`` are `split` and `to_table`.
"""

from hierrl.data.assemble import behaviour
from hierrl.data.export import to_table
from hierrl.data.layouts import from_arrays, from_cpm, from_hbayesdm, from_hssm, from_rlfit
from hierrl.data.splitting import split
from hierrl.data.validity import check_behaviour

__all__ = [
    "behaviour",
    "check_behaviour",
    "from_arrays",
    "from_cpm",
    "from_hbayesdm",
    "from_hssm",
    "from_rlfit",
    "split",
    "to_table",
]
