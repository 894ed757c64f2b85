"""Arrays without reference counts, for loops whose calls take less time than to count.

Compiled code counts references to arrays wherever one is handed over, in instructions that other cores wait for.
"""

from __future__ import annotations

from numba.core import cgutils

from hierrl.kernels.jit import intrinsic, njit
from hierrl.kernels.loops import INNER


@intrinsic
def uncounted(typingctx, array):
    """The same array, whose references numba doesn't count: counting at each call can take longer than the call.

    Whoever made the array itself has to `keep` it until after the last use of this one.
    """

    def code(context, builder, signature, args):
        same = context.make_array(signature.return_type)(context, builder, value=args[0])
        same.meminfo = cgutils.get_null_value(same.meminfo.type)
        return same._getvalue()

    return array(array), code


@njit(**INNER)
def keep(*arrays):
    """Arrays are not thrown away before this line."""
