"""Plain loops over arrays, for the kernels: sums over trials, fills and copies.

Written out because numba compiles a loop in a tenth of a second and an array expression or slice assignment
in one or
more; and because sums here may be reordered, which lets the compiler use vector instructions.
"""

from __future__ import annotations

from hierrl.kernels.jit import njit

JIT = {"nogil": True, "cache": True, "error_model": "numpy"}

# Functions that only compiled code calls need no wrappers for Python, which saves half of their compile time.
INNER = {**JIT, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

SUM = {**INNER, "fastmath": {"reassoc", "contract", "nsz"}}


@njit(**SUM)
def total(a):
    """Sum over trials."""
    result = 0.0
    for t in range(a.size):
        result += a[t]
    return result


@njit(**SUM)
def dot(a, b):
    """Sum of products over trials."""
    result = 0.0
    for t in range(a.size):
        result += a[t] * b[t]
    return result


@njit(**SUM)
def dot3(a, b, c):
    """Sum of triple products over trials."""
    result = 0.0
    for t in range(a.size):
        result += a[t] * b[t] * c[t]
    return result


@njit(**SUM)
def add_scaled(out, factor, a):
    """``out += factor * a`` over trials."""
    for t in range(out.size):
        out[t] += factor * a[t]


@njit(**SUM)
def multiply(a, b, out):
    """``out = a * b`` over trials."""
    for t in range(out.size):
        out[t] = a[t] * b[t]


@njit(**INNER)
def fill(out, value):
    """``out = value``, one axis."""
    for t in range(out.size):
        out[t] = value


@njit(**INNER)
def fill_rows(out, value):
    """``out = value``, two axes."""
    for i in range(out.shape[0]):
        for t in range(out.shape[1]):
            out[i, t] = value


@njit(**INNER)
def copy(a, out):
    """``out = a``, one axis."""
    for t in range(out.size):
        out[t] = a[t]


@njit(**INNER)
def copy_rows(a, out):
    """``out = a``, two axes."""
    for i in range(out.shape[0]):
        for t in range(out.shape[1]):
            out[i, t] = a[i, t]
