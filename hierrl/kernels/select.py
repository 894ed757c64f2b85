"""A choice between two numbers without a branch.

Code that is written by the hundred lines, as for recursions, would have a fork at each of Python's ``a if c else b``,
which compiles slowly.
"""

from __future__ import annotations

from numba import types

from hierrl.kernels.jit import intrinsic


@intrinsic
def select(typingctx, condition, first, second):
    """`first` if `condition`, a truth value, else `second`; both are floats and both are computed."""

    def code(context, builder, signature, args):
        return builder.select(args[0], args[1], args[2])

    return types.float64(types.boolean, types.float64, types.float64), code
