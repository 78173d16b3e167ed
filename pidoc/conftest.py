# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Number of examples of the fuzz tests in `pidoc.tests.test_fuzz` and others."""

from hypothesis import HealthCheck, Phase, settings

# no shrinking of examples: a failure shows how a file was changed
_ALWAYS = {'phases': [Phase.explicit, Phase.generate], 'deadline': None, 'database': None, 'print_blob': True,
           'suppress_health_check': [HealthCheck.too_slow, HealthCheck.function_scoped_fixture,
                                     HealthCheck.filter_too_much, HealthCheck.data_too_large]}
settings.register_profile('short', max_examples=8, derandomize=True, **_ALWAYS)
# docs/reliability.rst has the results
settings.register_profile('long', max_examples=300, **_ALWAYS)
settings.load_profile('short')
