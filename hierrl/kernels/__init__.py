"""Numba kernels: the one home of the learning rule and of the likelihood.

Kernels are serial, release the GIL and are cached on disk. Parallelism is a thread pool over subjects
(`hierrl.kernels.threads`), never numba's own threads, which abort under nutpie's.
"""
