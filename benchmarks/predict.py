#!/usr/bin/env python
"""Time of a prediction with a packaged model, compared with the paper's 70 ms for a mass map.

Milliseconds per map, one at a time and in batches: of the networks only (`Estimator.estimate`), of
predictions with the check of the domain (`MassMapper`), and including files. The start of a command is
measured in ``start.py``, thousands of images in ``survey.py``.

One core: ``OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/predict.py``. Minimum of several repeats.
"""

import tempfile
from pathlib import Path

import numpy as np
from common import least, machine, parser, table

PAPER = 70.0    # ms, Chardin & Bianchini (2021), section 4.1


def main():
    how = parser(__doc__)
    how.add_argument('--model', default='default')
    how.add_argument('--batch', type=int, default=64)
    options = how.parse_args()
    from pidoc import MassMapper
    from pidoc.mock.mock import Mock
    from pidoc.scripts.pidoc_predict import EXAMPLE

    mapper, mock, number = MassMapper.from_pretrained(options.model), Mock.read(EXAMPLE), options.batch
    channels = [mock.light.data if channel.smoothed else mock.sharp.data
                for channel in mapper.grid.channels]
    light = np.repeat(np.stack(channels, axis=-1)[np.newaxis].astype(np.float32), number, axis=0)
    prediction = mapper.predict(mock)
    print(f'{machine()}; {options.clock} time')
    row = table([('', '34s'), ('ms/map', '8.2f'), ('the paper over', '8.1f')])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'a.fits')
        for name, function, each in (
                ('networks, one map', lambda: mapper.estimator.estimate(light[:1]), 1),
                (f'networks, batches of {number}', lambda: mapper.estimator.estimate(light), number),
                ('prediction, one map', lambda: mapper.predict(mock), 1),
                ('with 1000 draws', lambda: mapper.predict(mock).sample(1000), 1),
                (f'predictions, batches of {number}', lambda: list(mapper.predict_many([mock] * number)),
                 number),
                (f'from files, batches of {number}',
                 lambda: list(mapper.predict_many([EXAMPLE] * number)), number),
                ('writing one prediction', lambda: prediction.write(file, overwrite=True), 1),
                ('reading one prediction', lambda: type(prediction).read(file), 1)):
            took = 1e3 * least(function, options.repeats, options.clock) / each
            row(name, took, PAPER / took)


if __name__ == '__main__':
    main()
