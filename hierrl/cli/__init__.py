"""The command line ``hierrl``.

``app`` holds the commands together, one module each: ``fit``, ``demo``, ``models``. They share ``options``
(what can be said on the command line), ``inputs`` (what is read and checked before any work), ``stages``
(the estimators in turn, each saved when it is done), ``folder`` (where things are written), ``pages`` (what
is printed), ``pictures`` and ``complaints`` (errors as sentences). Modules that the help needs import typer
and rich only; whatever is heavy is imported by the functions that use it.
"""

from hierrl.cli.app import main

__all__ = ["main"]
