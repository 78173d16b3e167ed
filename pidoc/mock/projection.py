# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Projection of the stars of a snapshot: their positions on the sky and their light."""

import math
import weakref

import numpy as np
from astropy import units as u

from pidoc.io.fits import card_value
from pidoc.photometry import band_luminosity

__all__ = ['star_light']

def star_light(snapshot, *, band='V', correction='reed1998', metallicity=None):
    """Luminosities of the stars of a snapshot in a band, cached.

    Parameters
    ----------
    snapshot : Snapshot
    band, correction, metallicity
        As for `observe`.

    Returns
    -------
    `~astropy.units.Quantity`
        In Lsun of the band, a new array each time.

    Raises
    ------
    TypeError, ValueError
        If the snapshot lacks necessary columns.
    """
    return prepared_stars(snapshot).light(snapshot, band, correction, metallicity).copy() * u.Lsun


class _Prepared:
    """Plain arrays of a snapshot, and its luminosities in the bands used so far.

    It must not refer to the snapshot, which is its key in a weak dictionary.
    """

    def __init__(self, snapshot):
        self.spherical = snapshot.is_spherical
        self.mass = snapshot._native['mass']
        self._radius = snapshot._radius
        self._first = _first_of_pair(snapshot._partner_row)
        self._place = None
        self.metallicity = None if snapshot.model is None else snapshot.model.metallicity
        self._light = {}
        self.meta = {'SNAPSEED': snapshot.seed, 'NSNAP': snapshot.n_stars}
        if snapshot.model is not None:
            self.meta |= {card.keyword: card_value(card.value) for card in snapshot.model.to_header().cards}
        self.meta = snapshot.meta | self.meta

    def light(self, snapshot, band, correction, metallicity):
        """Luminosities in a band [Lsun of the band]."""
        if metallicity is None:
            metallicity = self.metallicity
        key = band, correction, metallicity
        if key not in self._light and snapshot._origin is not None and metallicity == self.metallicity:
            # luminosities are not affected by rescaling
            whole, rows = snapshot._origin
            self._light[key] = prepared_stars(whole).light(whole, band, correction, metallicity)[rows]
        if key not in self._light:
            native = snapshot._native
            snapshot._check_light()
            if correction == 'kurucz1992' and metallicity is None:
                raise ValueError("correction 'kurucz1992' needs the metallicity, which a snapshot without a "
                                 'model does not have: give metallicity')
            self._light[key] = band_luminosity(
                native['luminosity'] * u.Lsun, snapshot._temperature * u.K, native.get('kind', 1),
                mass=native['mass'] * u.Msun, metallicity=metallicity, band=band,
                correction=correction).to_value(u.Lsun)
        return self._light[key]

    def project(self, snapshot, toward, stream):
        """x to the right and y up [pc], seen from a direction, or with directions drawn from a stream."""
        if self.spherical and stream is not None:
            return self._draw(np.random.default_rng(stream))
        if self._place is None:
            columns = snapshot._coordinates if self.spherical else snapshot._native
            self._place = np.array([columns[name] for name in 'xyz'])
        if toward == (0.0, 0.0, 1.0):
            return self._place[0], self._place[1]
        return _towards_z(toward)[:2] @ self._place

    def _draw(self, rng):
        # called often, therefore in place: height from -1 to 1, and the tangent of half an azimuth
        height, tangent = rng.random((2, self._radius.size))
        height *= 2.0
        height -= 1.0
        tangent *= np.pi
        if self._first is not None:
            height, tangent = height[self._first], tangent[self._first]
        np.tan(tangent, out=tangent)
        flat = np.multiply(height, height, out=height)
        np.subtract(1.0, flat, out=flat)
        np.sqrt(flat, out=flat)
        flat *= self._radius
        # cos a = 2 / (1 + t^2) - 1 and sin a = 2 t / (1 + t^2): one function instead of two
        cosine = np.multiply(tangent, tangent)
        cosine += 1.0
        np.divide(2.0, cosine, out=cosine)
        sine = np.multiply(tangent, cosine, out=tangent)
        cosine -= 1.0
        cosine *= flat
        sine *= flat
        return cosine, sine


# snapshots are immutable: cached values are valid for their lifetime
_PREPARED: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def prepared_stars(snapshot):
    if snapshot not in _PREPARED:
        _PREPARED[snapshot] = _Prepared(snapshot)
    return _PREPARED[snapshot]


def _first_of_pair(partner_row):
    """Row of the first component of a binary; of a single star its own; None if there are no binaries."""
    if partner_row is None:
        return None
    rows = np.arange(partner_row.size)
    return np.where(partner_row >= 0, np.minimum(rows, partner_row), rows)


def _towards_z(vector):
    """The smallest rotation of a unit vector to the z axis (Rodrigues)."""
    a, b, c = vector
    if c < -1.0 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    f = 1.0 / (1.0 + c)
    return np.array([[1.0 - a * a * f, -a * b * f, -a], [-a * b * f, 1.0 - b * b * f, -b], [a, b, c]])


def turned(x, y, angle):
    """Rotate counter-clockwise by degrees; multiples of 90 degrees without rounding errors."""
    angle %= 360.0
    if angle % 90.0 == 0.0:
        return ((x, y), (-y, x), (-x, -y), (y, -x))[int(angle // 90.0)]
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return cosine * x - sine * y, sine * x + cosine * y
