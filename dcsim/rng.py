"""Random streams keyed by name, so that a new random process leaves the draws of all others alone."""

import hashlib

import numpy as np


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the stream *name* under *seed*.

    Parameters
    ----------
    seed : int
        The scenario's seed, any integer from 0. Zero is a seed like any other.
    name : str
        What is drawn, for example ``failures/hall-1``. The same seed and name always give the same draws,
        in whatever order streams are asked for.
    """
    digest = hashlib.sha256(name.encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))
