# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Commands: one thin ``main(args=None)`` each."""
