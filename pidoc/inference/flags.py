# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Flags of predictions: bits, names and meanings."""

from dataclasses import dataclass

from pidoc.inference.features import FEATURES
from pidoc.units import whole_number

__all__ = ['FLAGS', 'Flag', 'OUTSIDE', 'decode_flags', 'flag_bits', 'flag_table']

@dataclass(frozen=True)
class Flag:
    """A bit of the flags of a prediction, its name and its meaning."""

    bit: int
    name: str
    description: str


FLAGS = tuple(Flag(1 << k, name, text) for k, (name, text) in enumerate([
    *((feature.name, f'outside training: {feature.description}') for feature in FEATURES),
    ('combination', 'outside training: quantities of its appearance do not go together'),
    ('no_domain', 'the model has no training domain'),
    ('tension', 'a given value differs from that inferred from the image by more than 3 standard deviations'),
    ('inconsistent', 'the mass in the field, the sum of its map, and M/L times the light do not agree'),
    ('mostly_filled', 'more than a tenth of the pixels were filled in'),
    ('filled', 'pixels that were masked or not finite were filled in for the network'),
    ('preparation', 'the preparation of the image raised flags'),
]))
"""All flags, from the lowest bit."""

_BITS = {flag.name: flag.bit for flag in FLAGS}
_HARMLESS = ('filled', 'preparation')

OUTSIDE = sum(flag.bit for flag in FLAGS if flag.name not in _HARMLESS)
"""Bits of images outside the training domain: all but the last two."""


def flag_bits(*names):
    """The sum of the bits of flags.

    Parameters
    ----------
    *names : str

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no flag with that name.

    Examples
    --------
    >>> from pidoc.inference import flag_bits
    >>> flag_bits('total_flux', 'flux_5')
    5
    """
    for name in names:
        if name not in _BITS:
            raise ValueError(f'a flag must be one of {", ".join(_BITS)}, received {name!r}')
    return sum(_BITS[name] for name in set(names))


def decode_flags(flags):
    """Names of the flags in a sum of bits.

    Parameters
    ----------
    flags : int

    Returns
    -------
    tuple of str

    Raises
    ------
    ValueError
        If there are bits without a meaning.

    Examples
    --------
    >>> from pidoc.inference import decode_flags
    >>> decode_flags(5)
    ('total_flux', 'flux_5')
    """
    flags = whole_number(flags, 'flags', at_least=0, at_most=2 * FLAGS[-1].bit - 1, floats=True)
    return tuple(flag.name for flag in FLAGS if flags & flag.bit)


def flag_table():
    """The flags as a table: bit, name and description.

    Returns
    -------
    `~astropy.table.Table`
    """
    from astropy.table import Table

    return Table({key: [getattr(flag, key) for flag in FLAGS] for key in ('bit', 'name', 'description')})
