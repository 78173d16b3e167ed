# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""``pidoc-train``: train a model from the command line."""

import dataclasses
import logging
import sys

from pidoc import __version__
from pidoc.scripts.command import HelpFormatter, Parser, run_command

__all__ = ['main']

_EPILOG = """\
The model folder then serves pidoc-predict --model FOLDER and pidoc-evaluate. A training that was stopped goes
on from its last epoch when the same command is given again.

examples:
  pidoc-trainingset paper-range --simulate --simulations runs -o sets/paper-range
  pidoc-train sets/paper-range -o models/mine
  pidoc-train sets/paper-range -o models/three --members 3 --epochs 40
"""

#: option, field of Settings, type, help
_OPTIONS = (
    ('--members', 'members', int, 'networks of the ensemble'),
    ('--epochs', 'epochs', int, 'times that each map is seen'),
    ('--batch-size', 'batch_size', int, 'maps in a step'),
    ('--learning-rate', 'learning_rate', float, 'largest learning rate of AdamW'),
    ('--widths', 'widths', None, 'channels at each scale, the finest first'),
    ('--turns', 'turns', int, 'orientations that the finished model looks at, 1 to 8'),
    ('--patience', 'patience', int, 'epochs without progress after which a network is finished'),
    ('--precision', 'precision', str, 'auto, float32 or bfloat16, in which some machines are twice as fast'),
    ('--seed', 'seed', int, 'seed of all that is random'),
)
_DEFAULTS = {'members': 1, 'epochs': 20, 'batch_size': 32, 'learning_rate': 1e-3, 'widths': (24, 48, 96, 128),
             'turns': 1, 'patience': 10, 'precision': 'auto', 'seed': 0}


def main(args=None):
    """Train a model; the command ``pidoc-train``.

    Parameters
    ----------
    args : list of str, optional
        Arguments, without the name of the command; by default those of the process.

    Returns
    -------
    int
        0 if all went well, 2 for an error (told on one line of the standard error), 130 if interrupted.
    """
    parser = _parser()
    options = parser.parse_args(args)
    return run_command(parser, options, _train, interrupted='the same command goes on from the last epoch')


def _parser():
    parser = Parser(prog='pidoc-train', epilog=_EPILOG, formatter_class=HelpFormatter,
                    description='Train networks on a training set that pidoc-trainingset has built.')
    parser.add_argument('--version', action='version', version=f'pidoc {__version__}')
    parser.add_argument('set', metavar='SET', help='folder of the training set')
    parser.add_argument('-o', '--output', metavar='FOLDER', required=True, help='folder of the model')
    parser.add_argument('--name', default='', help='name of the model, for its card')
    parser.add_argument('--description', default='', help='what it is, in a sentence, for its card')
    for option, field, kind, text in _OPTIONS:
        default = _DEFAULTS[field]
        shown = ','.join(map(str, default)) if field == 'widths' else default
        parser.add_argument(option, dest=field, type=kind or _widths, default=default,
                            metavar=field.split('_')[-1].upper(), help=f'{text} (default: {shown})')
    parser.add_argument('--log', action='store_true', help='log every epoch instead of a progress bar')
    parser.add_argument('--quiet', action='store_true', help='no progress bar, no summary')
    parser.add_argument('--debug', action='store_true', help='show where an error came from')
    return parser


def _widths(text):
    return tuple(int(word) for word in text.split(','))


def _train(options):
    # keras comes with it, which --help and errors in the arguments need not wait for
    from pidoc.training import Settings, train
    from pidoc.training_set import TrainingSet

    if options.log:
        logging.basicConfig(level=logging.INFO, format='%(asctime)s %(message)s', stream=sys.stderr,
                            force=True)
    settings = Settings(**{field: getattr(options, field) for field in _DEFAULTS})
    estimator = train(TrainingSet.read(options.set), options.output, settings=settings, name=options.name,
                      description=options.description, progress=not (options.quiet or options.log))
    if not options.quiet:
        for number, history in enumerate(estimator.about['history'], start=1):
            losses = history['val_likelihood']
            print(f'network {number}: {len(losses)} epochs, '
                  f'-ln likelihood of the validation {min(losses):.4f}')
        about = estimator.about
        print(f'model      {options.output}\n'
              f'maps       {about["n_train"]} to train, {about["n_validation"]} to validate')
        print(f'settings   {dataclasses.asdict(settings)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
