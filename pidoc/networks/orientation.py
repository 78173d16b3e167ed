# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""The eight orientations of a square map."""

import numpy as np

__all__ = ['turned', 'turned_back']


def turned(maps, turn):
    """Maps (n, y, x, c) in one of the eight orientations of a square."""
    if turn >= 4:
        maps = maps[:, :, ::-1]
    return np.rot90(maps, turn % 4, axes=(1, 2))


def turned_back(maps, turn):
    maps = np.rot90(maps, -(turn % 4), axes=(1, 2))
    return maps[:, :, ::-1] if turn >= 4 else maps
