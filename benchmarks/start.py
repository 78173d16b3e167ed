#!/usr/bin/env python
"""How long commands take to begin: ``import pidoc``, each ``--help``, one prediction of the example.

Fresh processes, least of several, wall and processor time; the limit beside them is Python itself
(``python -c pass``), and for the prediction the import of the backend and Keras alone.
"""

import subprocess
import sys
import tempfile

from common import machine, parser, spent, table

COMMANDS = ('predict', 'simulate', 'mock', 'fetch', 'trainingset', 'train', 'evaluate')


def code(command):
    return f'from pidoc.scripts.pidoc_{command} import main; raise SystemExit(main())'


def seconds(arguments, repeats):
    """Least wall and processor time [s] of an interpreter with these arguments."""
    times = []
    for _ in range(repeats + 1):
        start = spent()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(spent(start))
    # the first fills the caches of the disk
    return [min(each[name] for each in times[1:]) for name in ('wall', 'processor')]


def main():
    options = parser(__doc__, repeats=3).parse_args()
    print(machine())
    row = table([('', '34s'), ('wall s', '7.2f'), ('processor s', '7.2f')])
    row('python -c pass', *seconds(['-c', 'pass'], options.repeats))
    row('import pidoc', *seconds(['-c', 'import pidoc'], options.repeats))
    for command in COMMANDS:
        row(f'pidoc-{command} --help', *seconds(['-c', code(command), '--help'], options.repeats))
    row('import keras', *seconds(['-c', 'import keras; keras.ops.zeros(1)'], options.repeats))
    with tempfile.TemporaryDirectory() as folder:
        row('pidoc-predict --example', *seconds(
            ['-c', code('predict'), '--example', '--overwrite', '-o', folder], options.repeats))


if __name__ == '__main__':
    main()
