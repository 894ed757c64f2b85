"""Behaviour from what isn't a table of ours: arrays, and the layouts of other packages.

``arrays`` turns arrays into a table (`from_arrays`) · ``hbayesdm``, ``hssm``, ``cpm`` and ``rlfit`` read what these
packages take · ``peer`` is what the readers of tables share. Each only translates: `hierrl.data.behaviour` reads and
checks.
"""

from hierrl.data.layouts.arrays import from_arrays
from hierrl.data.layouts.cpm import from_cpm
from hierrl.data.layouts.hbayesdm import from_hbayesdm
from hierrl.data.layouts.hssm import from_hssm
from hierrl.data.layouts.rlfit import from_rlfit

__all__ = ["from_arrays", "from_cpm", "from_hbayesdm", "from_hssm", "from_rlfit"]
