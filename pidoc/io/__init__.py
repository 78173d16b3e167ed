# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Files, FITS and processes, for use in all packages."""
