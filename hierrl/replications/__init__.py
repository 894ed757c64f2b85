"""What every simulation study needs: replications that are kept in a file, and shares with their uncertainty.

``store`` does replications and goes on where it was stopped · ``record`` says in JSON what they depend on ·
``shares`` are counts of them, with intervals · ``priors`` has the weak prior of a task that nobody has played yet.
"""
