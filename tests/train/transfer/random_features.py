"""Features and rotations at random."""

import numpy as np
from hypothesis import strategies as st
from scipy.stats import ortho_group


SEEDS = st.integers(0, 2**32 - 1)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def rotation(seed, width):
    return ortho_group.rvs(width, random_state=seed)
