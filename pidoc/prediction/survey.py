# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Predictions of many images in batches and processes, to be resumed: `~pidoc.prediction.survey.survey`.

A journal in the folder of the products, ``pidoc-predict.jsonl``, has a line for each completed image: the row
of the table, and its input, that is the file and its time, the options, and the model.
"""

import codecs
import difflib
import hashlib
import json
import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.table import Column, QTable, Table

from pidoc import __version__
from pidoc.image.read import file_and_hdu
from pidoc.io.files import replacing
from pidoc.io.processes import one_line, work, WorkerKilled
from pidoc.io.progress import ProgressBar
from pidoc.prediction.known import UNITS as KNOWN_UNITS
from pidoc.prediction.mapper import MassMapper, model_checksum
from pidoc.prediction.prediction import row_units
from pidoc.units import whole_number

__all__ = ['COLUMNS', 'ImageList', 'Item', 'JOURNAL', 'TABLE_ENDINGS', 'survey']

log = logging.getLogger(__name__)

COLUMNS = {**{name: unit or u.one for name, unit in KNOWN_UNITS.items()},
           'seeing': u.arcsec, 'ra': u.deg, 'dec': u.deg,
           'zero_point': u.mag, 'exposure': u.s, 'extinction': u.mag, 'colour': u.mag,
           'pixel_scale': u.arcsec, 'field_of_view': u.arcsec, 'band': None, 'unit': None, 'hdu': None,
           'plane': None,
           'wcs_frame': None, 'cluster': None}
"""Columns that a table of images can have, and the unit of numbers without one."""

JOURNAL = 'pidoc-predict.jsonl'
"""Name of the journal in the folder of the products."""

TABLE_ENDINGS = '.ecsv', '.csv', '.fits'
"""Endings of the names of tables that are written."""

_TEXT_TABLES = {'.ecsv': 'ascii.ecsv', '.csv': 'ascii.csv', '.tsv': 'ascii.tab'}
_ENCODING = 'utf-8-sig'      # UTF-8, with or without the mark that Excel puts at the beginning
# columns that were perhaps meant by "file"
_OF_FILES = re.compile(r'(fits|image)?[ _-]?(file|path|image)[ _-]?(name|path)?s?', re.IGNORECASE)
_QUOTED = re.compile(r'^(["\'])(.*)\1$')
# what stands for no value, in lower case
_NOTHING = ('', '-', '--', 'nan', 'n/a', 'na', 'null', 'none')
_SEXAGESIMAL = re.compile(r'[+-]?\d+([: ]\d+){1,2}(\.\d*)?')
# besides those that are convertible to that of `COLUMNS`
_OTHER_UNITS = {'distance': (u.mag,), 'distance_error': (u.mag,), 'zero_point': (u.ABmag,)}
_BATCH = 64
_NAME = re.compile(r'[^/\\\0]{1,200}')
_LONGEST_COMMAND = 2000      # characters of a command line in a header
_TABLE_EVERY = 60.0          # s: a table is not written more often while work goes on
_LONGEST_ERROR = 200         # characters in the table; the journal has all
_ONE_AT_A_TIME = threading.Lock()
_LOST = 'a process that worked on it was killed, perhaps for lack of memory'


# -- the images -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One image of a list: its file, the name of its product, its own name if it has one, and its options.

    For two images that are combined into V, ``bands`` has the file of each.
    """

    file: str
    product: str
    name: str = ''
    options: dict = field(default_factory=dict)
    bands: dict | None = None

    @property
    def image(self):
        """What `pidoc.MassMapper.predict` takes."""
        return self.bands or self.file


class ImageList:
    """Files of images with the options of each: a sequence of `Item`.

    Parameters
    ----------
    files : list of path-like or dict
        A dictionary {'g': ..., 'r': ...} is one image of two files.
    names : list of str, optional
        Names of the images; by default, and where one is empty, those of the files.
    options : dict, optional
        Options of each image: name of a column of `COLUMNS` to a list or a masked array of values, one for
        each image, as numbers in the units there. Values that are masked, NaN or empty are not given.
    products : list of str, optional
        Names of the files that are written; by default ``<name>-pidoc.fits``.

    Raises
    ------
    ValueError
        If two products have the same name, or a name cannot be that of a file.

    Examples
    --------
    >>> from pidoc.prediction.survey import ImageList
    >>> images = ImageList(['a/m13.fits', 'b/m92.fits.gz'], options={'distance': [7.4, float('nan')]})
    >>> images[0].options
    {'distance': <Quantity 7.4 kpc>}
    >>> images[1].product
    'm92-pidoc.fits'
    """

    def __init__(self, files, *, names=None, options=None, products=None):
        self._bands = [dict(file) if isinstance(file, Mapping) else None for file in files]
        self.files = [' '.join(f'{band}={os.fspath(file)}' for band, file in bands.items()) if bands else
                      os.fspath(file) for file, bands in zip(files, self._bands, strict=True)]
        self.names = names
        self._options = options or {}
        if names is not None:
            bad = [name for name in names if name and not _NAME.fullmatch(name)]
            if bad:
                raise ValueError('the name of an image must be of 1 to 200 characters without slashes, '
                                 f'received {bad[0]!r}')
        if products is None:
            stems = ['+'.join(map(_stem, bands.values())) if bands else _stem(file)
                     for file, bands in zip(self.files, self._bands, strict=True)]
            products = [f'{name or stem}-pidoc.fits'
                        for name, stem in zip(names or stems, stems, strict=True)]
        self.products = products
        most = Counter(products).most_common(1)
        if most and most[0][1] > 1:
            raise ValueError(f'{most[0][0]} would be written twice: rename images of the same name, or name '
                             'them in a table of images')

    def __len__(self):
        return len(self.files)

    def __getitem__(self, k):
        options = {}
        for name, values in self._options.items():
            value = _option(values[k], COLUMNS[name])
            if name == 'plane' and isinstance(value, str):
                value = tuple(map(int, value.split(':')))
            if value is not None:
                options[name] = value
        position = {name: options.pop(name, None) for name in ('ra', 'dec')}
        if None not in position.values():
            options['center'] = _position(**position)
        return Item(self.files[k], self.products[k], self.names[k] if self.names else '', options,
                    self._bands[k])

    def with_products(self, products):
        """The same images, with other names of products."""
        files = [bands or file for file, bands in zip(self.files, self._bands, strict=True)]
        return ImageList(files, names=self.names, options=self._options, products=products)

    @classmethod
    def read(cls, path):
        """Read a list: a text file with a path on each line, or a table.

        Parameters
        ----------
        path : path-like
            If it ends in .ecsv, .csv, .tsv, .fits, .vot or .xml, a table that astropy reads, with a column
            ``file`` and any of ``name`` and `COLUMNS`. Otherwise a text. Empty lines and those that begin
            with # are ignored. Paths are relative to the working directory.

        Returns
        -------
        ImageList

        Raises
        ------
        OSError, ValueError
            If it cannot be read, or holds no images.
        """
        path = Path(path)
        if path.suffix.lower() in (*_TEXT_TABLES, '.fits', '.vot', '.xml'):
            return cls._from_table(_read_table(path), path)
        try:
            lines = [line.strip() for line in path.read_text(encoding=_ENCODING).splitlines()]
        except UnicodeDecodeError as error:
            raise ValueError(f'{path} must be a text file with a path on each line: {error}') from None
        files = [_QUOTED.sub(r'\2', line) for line in lines if line and not line.startswith('#')]
        if not files:
            raise ValueError(f'{path} must name images, received none')
        if re.match(r'file\s*[,;\s]', files[0], re.IGNORECASE):
            raise ValueError(f'{path} must have a path on each line, received {files[0]!r}: if it is a '
                             'table, its name must end in .csv or .ecsv')
        return cls(files)

    @classmethod
    def _from_table(cls, table, path):
        if 'file' not in table.colnames:
            meant = [name for name in table.colnames if _OF_FILES.fullmatch(name.strip())]
            helps = f': rename "{meant[0]}"' if meant else ''
            raise ValueError(f'{path} must have a column "file", received {", ".join(table.colnames)}{helps}')
        if not len(table):
            raise ValueError(f'{path} must name images, received none')
        if ('ra' in table.colnames) != ('dec' in table.colnames):
            raise ValueError(f'{path} must have both ra and dec, or neither')
        unused = [name for name in table.colnames if name not in ('file', 'name', *COLUMNS)]
        if unused:
            log.warning('%s: columns that mean nothing here are not used: %s; what is used: file, name, %s',
                        path,
                        ', '.join(map(_and_what_was_meant, unused)), ', '.join(COLUMNS))
        options = {name: _column(table[name], name, path) for name in table.colnames if name in COLUMNS}
        names = _texts(table['name']) if 'name' in table.colnames else None
        files = _texts(table['file'])
        if '' in files:
            raise ValueError(f'{path} must name a file in each row, received none in row '
                             f'{files.index("") + 1}')
        return cls(files, names=names, options=options)


def _and_what_was_meant(name):
    near = difflib.get_close_matches(name.lower(), ['file', 'name', *COLUMNS], n=1, cutoff=0.7)
    return f'{name} (did you mean {near[0]}?)' if near else name


def _texts(column):
    """Values as text; '' for those that are missing."""
    return ['' if value is np.ma.masked else str(value).strip() for value in column]


def _read_table(path):
    try:
        how = {'format': _TEXT_TABLES.get(path.suffix.lower())}
        if how['format'] in ('ascii.csv', 'ascii.tab'):
            how['comment'] = '#'
        with open(path, 'rb') as file:
            if how['format'] and file.read(3) == codecs.BOM_UTF8:
                # only then: with an encoding astropy reads slowly
                how['encoding'] = _ENCODING
        table = Table.read(path, **how)
        table.convert_bytestring_to_unicode()
        return table
    except FileNotFoundError:
        raise
    except Exception as error:
        # astropy has many kinds
        raise ValueError(f'{path} cannot be read as a table: {one_line(error)}') from error


def _column(column, name, path):
    """Values in the unit of `COLUMNS`, but distance moduli in mag; text as it is."""
    unit = COLUMNS[name]
    if unit is None:
        return column
    values = np.ma.asarray(column)
    if values.ndim != 1:
        raise ValueError(f'column {name} of {path} must hold one number in each row, received '
                         f'{values.size // max(len(values), 1)}')
    if values.dtype.kind in 'fiu':
        values = values.astype(float).filled(np.nan)
    else:
        values = np.array([_number(text, name, path) for text in _texts(column)])
    its = unit if column.unit is None else column.unit
    if its in _OTHER_UNITS.get(name, ()):
        return values * its
    try:
        return (values * u.Unit(its)).to_value(unit)
    except (u.UnitConversionError, TypeError, ValueError):
        raise ValueError(f'column {name} of {path} must be in a unit like {unit}, received {its}') from None


def _number(text, name, path):
    """A number written as text, NaN if there is none; of a position in degrees, also where it has colons."""
    from astropy.coordinates import Angle

    if text.lower() in _NOTHING:
        return np.nan
    try:
        if name in ('ra', 'dec') and _SEXAGESIMAL.fullmatch(text):
            return Angle(text, unit=u.hourangle if name == 'ra' else u.deg).deg
        return float(text)
    except ValueError:
        raise ValueError(f'column {name} of {path} must hold numbers, received {text!r}') from None


def _option(value, unit):
    """A value of a column as `MassMapper.predict` takes it; None if it is not given."""
    if unit is not None:
        return None if np.isnan(value) else value if isinstance(value, u.Quantity) else value * unit
    if value is np.ma.masked or str(value).strip() in ('', '--'):
        return None
    # an HDU is a number or a name
    return int(value) if str(value).isdigit() else str(value)


def _position(ra, dec):
    from astropy.coordinates import SkyCoord

    return SkyCoord(ra, dec)


def _stem(file):
    name = os.path.basename(file).removesuffix('.gz').removesuffix('.fz')
    return name.removesuffix('.fits').removesuffix('.fit').removesuffix('.fts')


# -- one batch, in whatever process ---------------------------------------------------------------


@dataclass(frozen=True)
class _How:
    """Settings that are the same for all images."""

    model: object
    checksum: str
    folder: str
    options: dict
    command: str = ''
    products: bool = True
    plot: bool = False
    summaries: bool = False
    stop: bool = False


@lru_cache(maxsize=1)
def _loaded(model, checksum):
    # the checksum is for the cache: a folder may hold another model by now
    return MassMapper.from_pretrained(model)


def _work(items, how):
    """Predict a batch: for each image the number of bytes of its product, its row, its error, its summary."""
    files, options = [item.image for item in items], _options_of(items, how.options)
    # a worker of dask may have many threads, a network is for one
    with _ONE_AT_A_TIME:
        mapper = how.model if isinstance(how.model, MassMapper) else _loaded(how.model, how.checksum)
        predictions = mapper.predict_many(files, batch_size=len(items), return_errors=not how.stop, **options)
        return [_finished(item, prediction, how) for item, prediction in zip(items, predictions, strict=True)]


def _options_of(items, every):
    """Options of `MassMapper.predict_many`: those of an image override those of all."""
    names = {name for item in items for name in item.options}
    return every | {name: [item.options.get(name, every.get(name)) for item in items] for name in names}


def _finished(item, prediction, how):
    try:
        if isinstance(prediction, Exception):
            raise prediction
        # two files have no name of their own
        name = item.name or (_stem(item.product).removesuffix('-pidoc') if item.bands else '')
        prediction = replace(prediction, command=how.command, **({'name': name} if name else {}))
        size = _write(prediction, Path(how.folder, item.product), how) if how.products else None
        return size, prediction.row_values(), '', prediction.summary() if how.summaries else ''
    except Exception as error:
        if how.stop:
            raise
        # one bad image must not stop the others
        return None, None, one_line(error), ''


def _write(prediction, path, how):
    prediction.write(path, overwrite=True)
    if how.plot:
        with replacing(figure_path(path)) as temporary:
            prediction.plot().savefig(temporary, dpi=110)
    return path.stat().st_size


def figure_path(path):
    """Path of the figure of a product."""
    return path.with_name(f'{_stem(path.name)}.png')


def _spread(batches, how, where):
    """Yield batches with their results; an image that kills processes does not stop the others."""
    again = []
    tasks = ((batch, ([item for _, item in batch], how)) for batch in batches)
    with closing(work(_work, tasks, **where)) as done:
        for batch, results, error in done:
            if error is None:
                yield batch, results
            elif not isinstance(error, WorkerKilled):
                raise error
            elif len(batch) == 1:
                yield batch, [(None, None, _LOST, '')]
            else:
                again.extend([each] for each in batch)
    if again:
        yield from _spread(again, how, where)


# -- the journal ----------------------------------------------------------------------------------


class _Journal:
    """Lines of JSON, appended: images that were begun, and those that are done."""

    def __init__(self, path):
        self._path = path
        self._file = open(path, 'a+b')
        if self._file.tell():
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b'\n':
                # a line that was cut short
                self._file.write(b'\n')

    def close(self):
        self._file.close()

    def append(self, lines):
        """Append lines; returns the offset at which each begins."""
        data = [json.dumps(line, separators=(',', ':')).encode() + b'\n' for line in lines]
        self._file.write(b''.join(data))
        self._file.flush()
        ends = self._file.tell() - np.cumsum([0, *map(len, reversed(data))])
        return ends[:0:-1]

    def lines(self):
        """Offset and content of each line that is whole."""
        with open(self._path, 'rb') as file:
            offset = 0
            for text in file:
                line = _parsed(text)
                if line is not None:
                    yield offset, line
                offset += len(text)

    def read(self, offsets):
        """The lines that begin at these offsets."""
        with open(self._path, 'rb') as file:
            for offset in offsets:
                file.seek(offset)
                yield _parsed(file.readline())


def _parsed(text):
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and {'product', 'key', 'state'} <= set(line) else None


def _key(item, how):
    """A hash of the input of a product."""
    file = [_state(path) for path in item.bands.values()] if item.bands else _state(item.file)
    options = {name: _plain(value) for name, value in (how.options | item.options).items()}
    content = [__version__, how.checksum, item.name, file, sorted(options.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def _state(path):
    """The current state of a file: path, and size and time if it exists."""
    path = os.path.abspath(file_and_hdu(path)[0])
    try:
        stat = os.stat(path)
    except OSError:
        return [path]
    return [path, stat.st_size, stat.st_mtime_ns]


def _plain(value):
    """A value for JSON, with all digits."""
    if isinstance(value, u.Quantity):
        return [value.value.tolist(), str(value.unit)]
    if hasattr(value, 'icrs'):
        return [float(value.icrs.ra.deg), float(value.icrs.dec.deg)]
    return value if isinstance(value, (bool, int, float, str)) else repr(value)


# -- the survey -----------------------------------------------------------------------------------


def survey(images, folder, *, model='default', options=None, table=None, jobs=1, scheduler=None, resume=False,
           overwrite=False, products=True, plot=False, batch_size=None, command='', progress=True,
           report=None, summaries=False, stop=False, journal=True):
    """Predict many images: a FITS file for each, and one table.

    A bad image does not stop the others: its row has the reason in the column ``error``.

    Parameters
    ----------
    images : `ImageList`, or list of path-like
    folder : path-like
        Folder of the products; created if needed.
    model : str, path-like or `~pidoc.MassMapper`, optional
        As for `pidoc.MassMapper.from_pretrained`; or a loaded model, for one process.
    options : dict, optional
        Options of `pidoc.MassMapper.predict` for all images. Options of an image in the list override them.
    table : path-like, optional
        File of the table, ending in .ecsv, .csv or .fits. It is written during the work, at most once a
        minute, and at the end.
    jobs : int, optional
        Number of processes. One that is killed is replaced; its images are tried again, one by one. With 1,
        the work is done in this process.
    scheduler : str, optional
        Address of a dask scheduler ('tcp://...'), whose workers then do the work; they must have access to
        images and folder under the same paths, and have one thread each.
    resume : bool, optional
        Skip images that were completed with the same file, options and model, and whose product exists with
        its recorded size. Those that failed are tried again.
    overwrite : bool, optional
        Replace existing files.
    products : bool, optional
        Write a FITS file for each image, and not only the table.
    plot : bool, optional
        Draw a figure for each product.
    batch_size : int, optional
        Images in a batch; by default 64, or fewer so that all processes have work.
    command : str, optional
        Command line, for the headers of the products.
    progress : bool, optional
        Show a progress bar, if there is a terminal.
    report : callable, optional
        Called for each completed image with its `Item`, its error or '', and its summary.
    summaries : bool, optional
        Whether to make these summaries.
    stop : bool, optional
        Raise the first error.
    journal : bool, optional
        Write the journal, which ``resume`` needs.

    Returns
    -------
    `~astropy.table.QTable`
        One row per image, in the order of the list: ``file``, the columns of `pidoc.Prediction.to_row`,
        ``output`` ('' if there is none) and ``error`` ('' without an error; else numbers are NaN).

    Raises
    ------
    OSError
        If a file exists that must not be replaced, or the journal or the table cannot be written.
    ValueError
        If an argument or the model is not acceptable.
    ImportError
        If a scheduler is given and dask is not installed.

    Notes
    -----
    Processes are started with the 'spawn' method: a script must call this under
    ``if __name__ == '__main__':``.
    """
    jobs = whole_number(jobs, 'jobs', at_least=1, floats=True)
    if batch_size is not None:
        batch_size = whole_number(batch_size, 'batch_size', at_least=1, floats=True)
    if not (journal or not resume):
        raise ValueError('resume needs the journal, received journal=False')
    images = images if isinstance(images, ImageList) else ImageList(images)
    table = _checked_table(table, overwrite or resume)
    if not (products or table):
        raise ValueError('products or a table must be asked for, received neither')
    checksum = model.sha256 if isinstance(model, MassMapper) else model_checksum(model)
    how = _How(model, checksum, os.path.abspath(folder), dict(options or {}), _cut(command), products, plot,
               summaries, stop)
    course = _Survey(images, how, table, journal)
    course.plan(resume, overwrite)
    where = _where(jobs, scheduler, len(course.waiting))
    with course.opened():
        return course.run(where, batch_size or course.size(where, jobs), progress, report)


def _checked_table(table, replaced):
    if table is None:
        return None
    table = Path(table)
    if table.suffix not in TABLE_ENDINGS:
        raise ValueError(f'a table must end in {", ".join(TABLE_ENDINGS[:-1])} or {TABLE_ENDINGS[-1]}, '
                         f'received {table}')
    if table.exists() and not replaced:
        raise OSError(f'{table} exists: give overwrite to replace it')
    return table


def _cut(command):
    """A command line cut to a reasonable length, for headers."""
    return command if len(command) <= _LONGEST_COMMAND else f'{command[:_LONGEST_COMMAND - 4]} ...'


def _where(jobs, scheduler, number):
    """Options of `work` for a number of images."""
    jobs = min(jobs, number)
    return {'jobs': jobs if jobs > 1 else 0, 'scheduler': scheduler,
            'threads': max(1, (os.cpu_count() or 1) // max(jobs, 1))}


class _Survey:
    """A survey in progress."""

    def __init__(self, images, how, table, journal):
        self.images, self.how, self.table = images, how, table
        self.folder = Path(how.folder)
        self._keeps = journal
        # of each image: where its line in the journal begins, or -1
        self._offsets = np.full(len(images), -1, dtype=np.int64)
        # without a journal: the lines
        self._lines = {}
        self._written = time.monotonic()
        self.waiting = []

    # -- what is there

    def plan(self, resume, overwrite):
        """Find the images to be done, and check first that no existing file would be replaced."""
        there = self._there() if resume else {}
        for k in range(len(self.images)):
            item = self.images[k]
            offset, line = there.get(item.product, (-1, None))
            same = line is not None and line['key'] == _key(item, self.how)
            if same and line['state'] == 'done' and self._is_whole(item, line):
                self._offsets[k] = offset
                continue
            if not (overwrite or same):
                self._check_free(item, line)
            self.waiting.append(k)

    def _there(self):
        """The last line of each product in the journal: its offset, key, state and bytes."""
        path = self.folder / JOURNAL
        if not path.exists():
            return {}
        wanted = set(self.images.products)
        journal = _Journal(path)
        try:
            return {line['product']: (offset, {name: line.get(name) for name in ('key', 'state', 'bytes')})
                    for offset, line in journal.lines() if line['product'] in wanted}
        finally:
            journal.close()

    def _is_whole(self, item, line):
        if not self.how.products:
            return True
        path = self.folder / item.product
        try:
            whole = path.stat().st_size == line['bytes']
        except FileNotFoundError:
            return False
        return whole and (not self.how.plot or figure_path(path).exists())

    def _check_free(self, item, line):
        path = self.folder / item.product
        wanted = [path] * self.how.products + [figure_path(path)] * self.how.plot
        for path in wanted:
            if path.exists():
                why = 'exists' if line is None else 'was made from another file, or with other options'
                raise OSError(f'{_shown(path)} {why}: give overwrite to replace it')

    # -- the work

    @contextmanager
    def opened(self):
        """Create folders and open the journal."""
        if self.how.products or self._keeps:
            self.folder.mkdir(parents=True, exist_ok=True)
        if self.table:
            self.table.parent.mkdir(parents=True, exist_ok=True)
        self._journal = _Journal(self.folder / JOURNAL) if self._keeps else None
        try:
            yield
        finally:
            if self._journal:
                self._journal.close()

    def run(self, where, batch_size, progress, report):
        try:
            with closing(_spread(self._batches(batch_size), self.how, where)) as done, \
                    ProgressBar(len(self.images), 'prediction', progress=progress, unit=' images',
                                initial=len(self.images) - len(self.waiting)) as bar:
                for batch, results in done:
                    self._keep(batch, results, report)
                    bar.update(len(batch))
                    self._write_now_and_then()
        except KeyboardInterrupt:
            self._write_table(self._rows())
            raise
        rows = self._rows()
        self._write_table(rows)
        return rows

    def size(self, where, jobs):
        """Size of a batch, small enough that all processes end at about the same time."""
        alone = not (where['jobs'] or where['scheduler'])
        return _BATCH if alone else min(_BATCH, max(1, -(-len(self.waiting) // (4 * jobs))))

    def _batches(self, size):
        waiting = iter(self.waiting)
        while numbers := list(islice(waiting, size)):
            batch = [(k, self.images[k]) for k in numbers]
            # what is found later under these names is ours
            self._note([self._line(item, state='begun') for _, item in batch])
            yield batch

    def _line(self, item, **more):
        return {'product': item.product, 'key': _key(item, self.how), **more}

    def _note(self, lines):
        return self._journal.append(lines) if self._journal else [-1] * len(lines)

    def _keep(self, batch, results, report):
        lines = [self._line(item, state='failed' if error else 'done', bytes=size, row=row, error=error)
                 for (_, item), (size, row, error, _) in zip(batch, results, strict=True)]
        for (k, _), offset, line in zip(batch, self._note(lines), lines, strict=True):
            self._offsets[k] = offset
            if not self._journal:
                self._lines[k] = line
        if report:
            for (_, item), (_, _, error, summary) in zip(batch, results, strict=True):
                report(item, error, summary)

    # -- the table

    def _rows(self):
        """The table of all images that are done or have failed."""
        if self._journal:
            numbers = np.flatnonzero(self._offsets >= 0)
            lines = self._journal.read(self._offsets[numbers])
        else:
            numbers = sorted(self._lines)
            lines = (self._lines[k] for k in numbers)
        return _table(len(numbers), ((self.images.files[k], line) for k, line in zip(numbers, lines)),
                      self.how)

    def _write_now_and_then(self):
        if self.table and time.monotonic() > self._written + _TABLE_EVERY:
            begin = time.monotonic()
            self._write_table(self._rows())
            # a twentieth of the time at most
            self._written = time.monotonic() + 20.0 * (time.monotonic() - begin)

    def _write_table(self, rows):
        if self.table and len(rows):
            with replacing(self.table) as temporary:
                rows.write(temporary, overwrite=True)


def _shown(path):
    """A path relative to the working directory, if it is inside."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def _table(number, files_and_lines, how):
    """The table made from lines of the journal, without more memory than its columns need."""
    units = row_units()
    strings = {'name', 'given', 'flag_names', 'model'}
    kinds = {'in_domain': bool, 'flags': np.int64}
    columns = {name: [''] * number if name in strings else
               np.zeros(number, kinds[name]) if name in kinds else np.full(number, np.nan) for name in units}
    file, output, error = ([''] * number for _ in range(3))
    for k, (path, line) in enumerate(files_and_lines):
        file[k], error[k] = path, line['error'][:_LONGEST_ERROR]
        output[k] = str(_shown(Path(how.folder) / line['product'])) if line['bytes'] else ''
        if line['row'] is None:
            columns['name'][k] = os.path.basename(path)
            continue
        for name in units:
            columns[name][k] = line['row'][name]
    table = QTable({'file': file})
    for name, unit in units.items():
        # one after the other: two copies of all would be many bytes
        values = columns.pop(name)
        values = Column(values, dtype=str) if name in strings else values
        table[name] = values if unit is None else values * unit
    table['output'], table['error'] = (Column(values, dtype=str) for values in (output, error))
    table.meta.update(PIDOCVER=__version__, COMMAND=how.command)
    return table
