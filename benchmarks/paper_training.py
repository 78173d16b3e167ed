#!/usr/bin/env python
"""Cost of training the networks of the paper: a step on one core, and the extrapolated experiment.

Both networks, their losses and optimisers as in ``pidoc-train --network paper``, with batches of maps of 160
x 160 pixels of noise, which does not affect the time. A step needs the multiplications of the network three
times (forward, for the gradients of the maps, for those of the weights). The perceptual loss applies VGG16 to
two maps, with gradients through one of them: also three times. The experiment is 20,000 maps, 100 epochs of
the mass network and 200 of the other; the paper states 40 and 10 hours on V100 GPUs (section 3.2).

With ``--set sets/paper-range`` it trains both on a part of a set instead, with VGG16 of random weights, and
prints the losses of the first epochs. ``--folder`` keeps the model, for ``pidoc-evaluate``.
"""

import tempfile
from contextlib import nullcontext

import keras
import numpy as np
from common import least, machine, multiplications, parser, table

from pidoc.networks.losses import PerceptualLoss
from pidoc.networks.paper import (
    AGE_DISTANCE_LEARNING_RATE,
    MASS_LEARNING_RATE,
    paper_age_distance_network,
    paper_mass_network,
)
from pidoc.training import PaperSettings, Selection, train
from pidoc.training_set.dataset import TrainingSet

MAPS = 20000
NETWORKS = (('mass', paper_mass_network, MASS_LEARNING_RATE, (160, 160, 1), 100),
            ('age and distance', paper_age_distance_network, AGE_DISTANCE_LEARNING_RATE, (2,), 200))
# to block2_conv2, at a side of 160: 3 x 3 kernels; channels in and out, pixels a side
VGG16 = sum(9 * into * out * side**2 for into, out, side in
            ((3, 64, 160), (64, 64, 160), (64, 128, 80), (128, 128, 80)))


def first_epochs(options):
    """Train on some maps of a set; print the losses."""
    maps = TrainingSet.read(options.set)
    settings = PaperSettings(epochs=tuple(options.epochs), batch_size=options.batch, vgg='random',
                             precision=options.precision, train_maps=Selection(number=options.maps),
                             validation_maps=Selection(number=options.validation))
    keep = nullcontext(options.folder) if options.folder else tempfile.TemporaryDirectory()
    with keep as folder:
        about = train(maps, folder, settings=settings, name='paper, short').about
    row = table([('', '18s'), ('epoch', '6d'), ('loss', '12.4f'), ('validation', '12.4f')])
    for (name, *_), history in zip(NETWORKS, about['history'], strict=True):
        for epoch, losses in enumerate(zip(history['loss'], history['val_loss'], strict=True), 1):
            row(name, epoch, *losses)


def main():
    how = parser(__doc__, repeats=3)
    how.add_argument('--set', help='train on maps of this set and print the losses')
    how.add_argument('--maps', type=int, default=256, help='of the set, for training (default: 256)')
    how.add_argument('--epochs', type=int, nargs=2, default=(12, 40), metavar='N',
                     help='of the mass network and of the other (default: 12 40)')
    how.add_argument('--validation', type=int, default=112, help='of the set, for validation (default: 112)')
    how.add_argument('--folder', help='where to keep the model that is trained on the set')
    how.add_argument('--precision', choices=('auto', 'float32', 'bfloat16'), default='auto',
                     help='of that training')
    how.add_argument('--batch', type=int, default=32, help='maps in a step (default: 32)')
    how.add_argument('--gpu', type=float, default=2.5e12,
                     help='multiplications with additions a second to reckon with (default: 2.5e12, a third '
                          'of the most that a V100 does in single precision)')
    options = how.parse_args()
    if options.set:
        first_epochs(options)
        return
    rng = np.random.default_rng(1)
    print(f'{machine()}, Keras {keras.__version__}, {keras.backend.backend()}; {options.clock} time')
    row = table([('', '18s'), ('10^9 a map', '10.1f'), ('ms/map', '8.0f'), ('10^9/s', '7.0f'),
                 ('experiment, 10^15', '17.1f'), ('days here', '9.1f'), ('hours on a GPU', '14.1f')])
    light = rng.normal(size=(options.batch, 160, 160, 1)).astype('float32')
    for name, build, rate, shape, epochs in NETWORKS:
        network = build(seed=0)
        perceptual = name == 'mass'
        network.compile(optimizer=keras.optimizers.Adam(rate),
                        loss=PerceptualLoss(weights=None) if perceptual else 'mean_squared_error')
        truth = rng.normal(size=(options.batch, *shape)).astype('float32')
        took = least(lambda network=network, truth=truth: network.train_on_batch(light, truth),
                     options.repeats, options.clock) / options.batch
        count = 3 * multiplications(network) + 3 * VGG16 * perceptual
        total = count * MAPS * epochs
        row(name, count / 1e9, 1e3 * took, count / took / 1e9, total / 1e15, took * MAPS * epochs / 86400,
            total / options.gpu / 3600)


if __name__ == '__main__':
    main()
