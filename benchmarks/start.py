#!/usr/bin/env python
"""Start-up time of commands: ``import pidoc``, each ``--help``, one prediction of the example.

Fresh processes, minimum of several, wall-clock and processor time, and the peak of the resident memory; for
comparison Python itself (``python -c pass``), and for the prediction the import of Keras and its backend,
which it does not need.
"""

import os
import subprocess
import sys
import tempfile

from common import machine, parser, spent, table

COMMANDS = ('predict', 'simulate', 'mock', 'fetch', 'trainingset', 'train', 'evaluate')


def code(command):
    return f'from pidoc.scripts.pidoc_{command} import main; raise SystemExit(main())'


def cost(arguments, repeats):
    """Least wall and processor time [s] and peak memory [MB] of an interpreter with these arguments."""
    found = []
    for _ in range(repeats + 1):
        start = spent()
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f'{arguments} ended with status {process.returncode}')
        found.append((*spent(start).values(), usage.ru_maxrss / 1024.0))
    # the first fills the caches of the disk
    return [min(each) for each in zip(*found[1:], strict=True)]


def main():
    options = parser(__doc__, repeats=3).parse_args()
    print(machine())
    row = table([('', '34s'), ('wall s', '7.2f'), ('processor s', '7.2f'), ('MB', '5.0f')])
    row('python -c pass', *cost(['-c', 'pass'], options.repeats))
    row('import pidoc', *cost(['-c', 'import pidoc'], options.repeats))
    for command in COMMANDS:
        row(f'pidoc-{command} --help', *cost(['-c', code(command), '--help'], options.repeats))
    row('import keras', *cost(['-c', 'import keras; keras.ops.zeros(1)'], options.repeats))
    with tempfile.TemporaryDirectory() as folder:
        row('pidoc-predict --example', *cost(
            ['-c', code('predict'), '--example', '--overwrite', '-o', folder], options.repeats))


if __name__ == '__main__':
    main()
