# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""How many examples the fuzz of `pidoc.tests.test_fuzz` and its like tries."""

from hypothesis import HealthCheck, Phase, settings

# no search for smaller examples: a failure shows what was done to a file
_ALWAYS = {'phases': [Phase.explicit, Phase.generate], 'deadline': None, 'database': None, 'print_blob': True,
           'suppress_health_check': [HealthCheck.too_slow, HealthCheck.function_scoped_fixture,
                                     HealthCheck.filter_too_much, HealthCheck.data_too_large]}
settings.register_profile('short', max_examples=8, derandomize=True, **_ALWAYS)
# docs/reliability.rst says what this found
settings.register_profile('long', max_examples=300, **_ALWAYS)
settings.load_profile('short')
