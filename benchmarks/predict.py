#!/usr/bin/env python
"""Time of a prediction with a packaged model, beside the 70 ms that the paper states for a mass map.

``start``: from the call of ``pidoc-predict --example`` to its end and of ``--help``, in fresh processes.
``maps``: milliseconds a map, one at a time and in batches, of the networks alone (`Estimator.estimate`) and
of whole predictions with the check of the domain and the tables (`MassMapper`).

One core: ``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/predict.py``. Least of several repeats.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

PAPER = 70.0    # ms, Chardin & Bianchini (2021), section 4.1


def least(function, repeats, clock):
    """Least time of several calls [s], after one that is not counted: it compiles."""
    function()
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def start(repeats):
    """Seconds of commands in fresh processes."""
    for options in (['--help'], ['--example']):
        times = []
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as folder:
                code = 'from pidoc.scripts.pidoc_predict import main; raise SystemExit(main())'
                more = [] if options == ['--help'] else ['-o', folder]
                begin = time.perf_counter()
                subprocess.run([sys.executable, '-c', code, *options, *more], check=True, capture_output=True)
                times.append(time.perf_counter() - begin)
        print(f'pidoc-predict {options[0]:10} {min(times):6.2f} s')


def maps(model, number, repeats, clock):
    """Milliseconds of predictions."""
    from pidoc import MassMapper
    from pidoc.scripts.pidoc_predict import EXAMPLE

    mapper = MassMapper.from_pretrained(model)
    from pidoc.mock import Mock

    mock = Mock.read(EXAMPLE)
    light = np.repeat(mock.light.data[np.newaxis].astype(np.float32), number, axis=0)
    rows = {'networks, one map': (lambda: mapper.estimator.estimate(light[:1]), 1),
            f'networks, batches of {number}': (lambda: mapper.estimator.estimate(light), number),
            'prediction, one map': (lambda: mapper.predict(mock), 1),
            f'predictions, batches of {number}': (lambda: list(mapper.predict_many([mock] * number)), number)}
    for name, (function, each) in rows.items():
        took = 1e3 * least(function, repeats, clock) / each
        print(f'{name:32} {took:7.2f} ms a map, {PAPER / took:6.1f} times as fast as the paper')


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', nargs='?', choices=('start', 'maps', 'all'), default='all')
    parser.add_argument('--model', default='default')
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--cpu-time', action='store_true', help='time of the processor, all cores together')
    options = parser.parse_args()
    print(f'{os.cpu_count()} cores, of which {len(os.sched_getaffinity(0))} are used')
    if options.what in ('start', 'all'):
        start(options.repeats)
    if options.what in ('maps', 'all'):
        clock = time.process_time if options.cpu_time else time.perf_counter
        maps(options.model, options.batch, options.repeats, clock)


if __name__ == '__main__':
    main()
