# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-train``: train a model from the command line."""

import argparse
import logging
import sys
import textwrap
from pathlib import Path

from pidoc.scripts.command import add_quiet_and_debug, Parser, run

__all__ = ['main']

_EPILOG = """\
The model folder can be used with pidoc-predict --model FOLDER and pidoc-evaluate. An interrupted training is
continued from its last epoch when the same command is given again; a finished one is continued with more
--epochs.

examples:
  pidoc-trainingset paper-range --simulate --simulations runs -o sets/paper-range
  pidoc-train sets/paper-range -o models/mine
  pidoc-train sets/paper-range -o models/three --members 3 --epochs 40
  pidoc-train sets/paper-range -o models/smooth --channels light --constraints distance
  pidoc-train sets/table1 -o models/chardin --network paper --vgg imagenet --plot
"""

def _whole_numbers(text):
    try:
        return tuple(int(word) for word in text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'must be whole numbers, such as 4,8, received {text!r}') from None


def _words(text):
    return tuple(text.split(','))


#: field of Settings -> converter of the option of the same name, default in the help (repeated here to keep
#: the help fast), and help
_OPTIONS = {
    'members': (int, '1; ours only', 'networks of the ensemble'),
    'epochs': (_whole_numbers, '20, paper: 100,200',
               'passes over the training set; a larger number continues a finished training'),
    'batch_size': (int, '32', 'maps in a training step'),
    'learning_rate': (float, '0.001; ours only', 'largest learning rate of AdamW'),
    'weight_decay': (float, '0.0001; ours only', 'weight decay of AdamW'),
    'dropout': (float, '0.3; ours only',
                'dropout rate in front of the layer that predicts the scalars'),
    'beta': (float, '0.5; ours only',
             'exponent of the predicted variances in the loss, 0 (likelihood) to 1 (least squares)'),
    'orientations': (int, '8; ours only',
                     'data augmentation: orientations of the maps, 1 (none), 4 or 8'),
    'outputs': (_words, 'all in the set; ours only', 'predicted scalars'),
    'constraints': (_words, 'those known exactly; ours only', 'what the network is conditioned on'),
    'measured': (_words, 'all other predicted ones; ours only',
                 'constraints that the posterior is conditioned on in closed form'),
    'given': (float, '0.5; ours only', 'share of the maps for which each constraint is given'),
    'components': (int, '3; ours only', 'normal distributions in the mixture posterior of the scalars'),
    'covariance': (str, 'full; ours only', 'covariance of each of them: full or diagonal'),
    'channels': (_words, 'all in the set; ours only',
                 'input images of the network: light (smoothed), sharp'),
    'widths': (_whole_numbers, '24,48,96,128; ours only', 'channels at each scale, the finest first'),
    'compression': (str, 'arcsinh; ours only', 'transformation of the pixels: arcsinh or logarithm'),
    'distance_scale': (str, 'logarithm; ours only',
                       'scale on which the distance is learned: logarithm or linear'),
    'start': (str, 'random weights; ours only',
              'model whose weights the training begins with, packaged or a folder; its settings of the '
              'networks are used again'),
    'turns': (int, '1; ours only', 'orientations that the finished model averages over, 1 to 8'),
    'patience': (int, '10, paper: 20', 'early stopping after this many epochs without improvement'),
    'precision': (str, 'auto', 'auto, float32 or bfloat16, which is twice as fast on some machines'),
    'seed': (int, '0', 'seed of all random numbers'),
}
# for the networks of the paper too
_PAPER = ('epochs', 'batch_size', 'patience', 'precision', 'seed', 'vgg')


def main(args=None):
    """Train a model; the command ``pidoc-train``: see `pidoc.scripts.command.run`."""
    return run(_parser(), _train, args, interrupted='the same command continues from the last epoch')


def _parser():
    parser = Parser('pidoc-train', epilog=_EPILOG,
                    description='Train networks on a training set that pidoc-trainingset has built.')
    parser.add_argument('set', metavar='SET', help='folder of the training set')
    parser.add_argument('-o', '--output', metavar='FOLDER', required=True, help='folder of the model')
    parser.add_argument('--name', default='', help='name of the model, for its card')
    parser.add_argument('--description', default='', help='one sentence on the model, for its card')
    parser.add_argument('--network', choices=('cluster', 'paper'), default='cluster',
                        help='ours, or the two of Chardin & Bianchini 2021: mass map; age and distance '
                             '(default: cluster)')
    for field, (kind, default, text) in _OPTIONS.items():
        parser.add_argument(f'--{field.replace("_", "-")}', type=kind, metavar=field.split('_')[-1].upper(),
                            help=f'{text} (default: {default})')
    parser.add_argument('--vgg', metavar='WEIGHTS',
                        help="weights of VGG16 in the perceptual loss of the paper's mass network: imagenet "
                             '(fetched once), random, or a file (default: imagenet)')
    parser.add_argument('--plot', action='store_true', help='plot the training history in FOLDER/history.png')
    parser.add_argument('--log', action='store_true', help='log every epoch instead of a progress bar')
    add_quiet_and_debug(parser)
    return parser


def _settings(options):
    """Settings of the chosen network; the defaults except for the given options."""
    from pidoc.prediction.mapper import folder_of
    from pidoc.training.settings import PaperSettings, Settings

    paper = options.network == 'paper'
    mine = _PAPER if paper else _OPTIONS
    given = {field: getattr(options, field) for field in (*_OPTIONS, 'vgg')
             if getattr(options, field) is not None}
    foreign = [name for name in given if name not in mine]
    if foreign:
        raise ValueError(f'--{foreign[0].replace("_", "-")} is not for --network {options.network}')
    epochs = given.get('epochs')
    if epochs is not None:
        if len(epochs) not in ((1, 2) if paper else (1,)):
            raise ValueError('--epochs must be one number, or for --network paper two, received '
                             + ','.join(map(str, epochs)))
        given['epochs'] = (epochs * 2)[:2] if paper else epochs[0]
    if 'start' in given:
        given['start'] = folder_of(given['start'])
    return (PaperSettings if paper else Settings)(**given)


def _train(options):
    settings = _settings(options)
    # imports keras, which would delay --help and errors in the arguments
    from pidoc.training.fit import train
    from pidoc.training.model_card import epochs_of, settings_text
    from pidoc.training_set.dataset import TrainingSet

    if options.log:
        logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s', stream=sys.stderr,
                            force=True)
    if options.plot:
        # a missing matplotlib should be reported before hours of training
        from pidoc.plotting.history import plot_history  # noqa: F401
    estimator = train(TrainingSet.read(options.set), options.output, settings=settings, name=options.name,
                      description=options.description, progress=not (options.quiet or options.log))
    if options.plot:
        _plot(estimator.about['history'], Path(options.output) / 'history.png',
              paper=options.network == 'paper')
    if not options.quiet:
        about = estimator.about
        for number, text in enumerate(epochs_of(about), start=1):
            print(f'network {number}: {text}')
        print(f'model      {options.output}\n'
              f'maps       {about["n_train"]} to train, {about["n_validation"]} to validate')
        print(textwrap.fill(settings_text(about['settings']), 80, initial_indent='settings   ',
                            subsequent_indent=' ' * 11))
    return 0


def _plot(histories, path, *, paper):
    """Plot the history like Fig. 3 of the paper."""
    from pidoc.io.files import replacing
    from pidoc.plotting.history import plot_history

    if paper:
        figure = plot_history(dict(zip(('mass', 'age and distance'), histories, strict=True)),
                              loss='square_error')
    else:
        figure = plot_history({f'network {k}': each for k, each in enumerate(histories, start=1)})
    with replacing(path) as new:
        figure.savefig(new, format='png', dpi=120)


if __name__ == '__main__':
    sys.exit(main())
