"""The command line ``hierrl``.

``app`` holds the commands together, one module each: ``fit``, ``compare``, ``check``, ``report``, ``simulate``,
``recover``, ``models``, ``demo``; what the longer ones do stands in ``comparing``, ``checking``, ``recovering``,
``playing`` (tasks and true parameters) and ``demonstration``. They share ``options`` (what can be said), ``grouped``
(options that belong together), ``model_text`` (``rw+lapse``), ``inputs`` (what is read and checked before any work),
``saved`` and ``source`` (fits from files, or from a table), ``stages`` and ``run`` (the estimators in turn, each saved
when it is done), ``folder`` (where things are written), ``results``, ``pages`` (what is printed), ``pictures`` and
``complaints`` (errors as sentences). Modules that the help needs import typer and rich only; whatever is heavy is
imported by the functions that use it.
"""

from hierrl.cli.app import main

__all__ = ["main"]
