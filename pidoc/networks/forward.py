# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""`ClusterForward`: the forward pass of `~pidoc.networks.cluster.cluster_network` in numpy, without Keras.

Internally, maps are [y, map, x, channel] in float32, so that the pixels of all maps are the rows of one
matrix. Convolutions of 3 x 3 pixels use the minimal filtering F(2 x 2, 3 x 3) of Winograd (Lavin & Gray
2016): tiles of 4 x 4 pixels are transformed, after which each of 2 x 2 results takes 4 products instead of 9.
Maps pass through the network in small groups, so that intermediate results fit into the caches.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pidoc.io.processes import single_threaded_blas
from pidoc.networks.shapes import weight_shapes

__all__ = ['ClusterForward']

# sizes for which intermediate results fit into the caches
_PIXELS = 12800    # in maps that pass through the network together
_FLOATS = 30000    # in the tiles of a convolution, for each of their 16 positions


class ClusterForward:
    """A trained `~pidoc.networks.cluster.cluster_network`, for prediction only.

    Parameters
    ----------
    weights : dict
        Name -> array, as in `weight_shapes`.
    config : dict
        Arguments of `~pidoc.networks.cluster.cluster_network`.

    Raises
    ------
    TypeError, ValueError
        If an argument is unknown, or the weights are those of another network.
    """

    def __init__(self, weights, config):
        shapes = weight_shapes(**config)
        if {name: np.shape(value) for name, value in weights.items()} != shapes:
            raise ValueError(f'weights must be those of a network with {config!r}, received {len(weights)} '
                             f'arrays, where {len(shapes)} of given shapes are needed')
        self.weights = {name: np.ascontiguousarray(weights[name], dtype=np.float32) for name in shapes}
        self._levels = sum(name.endswith('_narrow/kernel') for name in shapes) + 1
        self._encoding = sum(len(self.weights[f'down{level}/bias']) for level in range(self._levels))
        self._kernels = {name.removesuffix('/kernel'): _arranged(name.removesuffix('/kernel'), kernel)
                         for name, kernel in self.weights.items() if name.endswith('/kernel')}

    def predict_on_batch(self, inputs):
        """Both outputs of the network, like the method of Keras.

        Parameters
        ----------
        inputs : pair of ndarray
            Images, shape (n, height, width, channels), and code of the given properties, shape (n, known).

        Returns
        -------
        mass : ndarray of float32, shape (n, height, width, 2)
        scalars : ndarray of float32, shape (n, scalars)
        """
        image, known = inputs
        mass, scalars, _ = self.predict_with(image, [known])
        return mass, scalars[:, 0]

    def predict_with(self, image, known):
        """Scalars of the same images for several sets of given properties, at little more cost than for one.

        Parameters
        ----------
        image : ndarray, shape (n, height, width, channels)
        known : sequence of m ndarray, shape (n, known)

        Returns
        -------
        mass : ndarray of float32, shape (n, height, width, 2)
            For the first of ``known``.
        scalars : ndarray of float32, shape (n, m, scalars)
        encoding : ndarray of float32, shape (n, encoding)
            Averages of the maps of features at all scales, which depend on the image only.
        """
        image = np.asarray(image, dtype=np.float32)
        known = np.stack([np.asarray(each, dtype=np.float32) for each in known], axis=1)
        number, height, width, _ = image.shape
        mass = np.empty((number, height, width, 2), dtype=np.float32)
        scalars = np.empty((number, known.shape[1], len(self.weights['scalars/bias'])), dtype=np.float32)
        encoding = np.empty((number, self._encoding), dtype=np.float32)
        step = max(1, _PIXELS // (height * width))
        pieces = [slice(start, start + step) for start in range(0, number, step)]

        def work(mine):
            room = _Room()
            for some in mine:
                maps, scalars[some], encoding[some] = self._pass(image[some].transpose(1, 0, 2, 3),
                                                                 known[some], room)
                mass[some] = maps.transpose(2, 1, 3, 0)

        # each piece on a thread of its own: the products are too small to be shared
        with single_threaded_blas() as threads:
            shares = [pieces[k::threads] for k in range(min(threads, len(pieces)))]
            if len(shares) < 2:
                work(pieces)
            else:
                with ThreadPoolExecutor(len(shares)) as pool:
                    list(pool.map(work, shares))
        return mass, scalars, encoding

    def _pass(self, x, known, room):
        scales = [x := self._first(x, room)]
        for level in range(1, self._levels):
            x = self._halved(x, f'down{level}', room)
            more = self._convolved(x, f'down{level}_more', room)
            scales.append(x := np.add(x, more, out=x))
        averages = np.concatenate([*map(_average, scales)], axis=1)
        scalars, code = self._head(averages, scales[-1], known, room)
        x = x + self._dense(code, 'latent', room)[:, np.newaxis]
        for level in reversed(range(self._levels - 1)):
            narrow = _relu(self._dense(x, f'up{level}_narrow', room))
            x = self._convolved(scales[level], f'up{level}_mix', room, coarse=narrow)
        return self._last(x), scalars, averages

    def _head(self, averages, coarsest, known, room):
        """Scalars for each set of given properties, and the code behind those of the first."""
        few = _relu(self._dense(coarsest, 'few', room))
        flat = few.transpose(1, 0, 2, 3).reshape(len(known), -1)
        seen = np.concatenate([averages, flat], axis=1)
        found = []
        for k in range(known.shape[1]):
            given = known[:, k]
            code = np.concatenate([_relu(self._dense(np.concatenate([seen, given], axis=1), 'dense1', room)),
                                   given], axis=1)
            code = _relu(self._dense(code, 'dense2', room))
            numbers = self._dense(np.concatenate([code, given], axis=1), 'scalars', room)
            # copies: the buffer is reused
            found.append((numbers.copy(), code.copy()))
        return np.stack([numbers for numbers, _ in found], axis=1), found[0][1]

    def _dense(self, x, name, room):
        """A dense layer, or a convolution of single pixels."""
        kernel = self._kernels[name]
        flat = x.reshape(-1, len(kernel))
        y = np.matmul(flat, kernel, out=room.take(name, (len(flat), kernel.shape[1])))
        y += self.weights[f'{name}/bias']
        return y.reshape(*x.shape[:-1], -1)

    def _first(self, x, room):
        """The first convolution, which has few input channels, as one product, and ReLU."""
        height, number, width, channels = x.shape
        padded = _padded(x, room)
        seen = room.take('seen', (3, 3, channels, height, number, width))
        for i, j in np.ndindex(3, 3):
            seen[i, j] = padded[i:i + height, :, j:j + width].transpose(3, 0, 1, 2)
        kernel = self._kernels['down0']
        y = room.take('down0', (height * number * width, kernel.shape[1]))
        np.matmul(seen.reshape(len(kernel), -1).T, kernel, out=y)
        y += self.weights['down0/bias']
        return _relu(y).reshape(height, number, width, -1)

    def _halved(self, x, name, room):
        """A convolution with strides of 2, one product for each row of the kernel, and ReLU."""
        height, number, width, channels = x.shape
        padded = _padded(x, room)[:, :, 1:]
        down, step, across, one = padded.strides
        size = height // 2, number, width // 2, 3 * channels
        kernels = self._kernels[name]
        y, part = (room.take(each, (math.prod(size[:3]), kernels.shape[-1])) for each in (name, 'part'))
        y[:] = self.weights[f'{name}/bias']
        for row, kernel in enumerate(kernels, start=1):
            seen = room.take('seen', size)
            np.copyto(seen, as_strided(padded[row:], size, (2 * down, step, 2 * across, one)))
            y += np.matmul(seen.reshape(len(y), -1), kernel, out=part)
        return _relu(y).reshape(*size[:3], -1)

    def _convolved(self, x, name, room, *, coarse=None):
        """A convolution and ReLU, of a map, or of a coarser map enlarged twice concatenated with it."""
        height, number, width, channels = x.shape
        kernels, bias = self._kernels[name], self.weights[f'{name}/bias']
        tall, wide = -(-height // 2), -(-width // 2)
        columns = _columns(x, room)
        around = None if coarse is None else _padded(coarse, room)
        y = room.take(name, (tall, 2, number, wide, 2, len(bias)))
        step = max(1, _FLOATS // (number * wide * (channels + len(bias))))
        for start in range(0, tall, step):
            stop = min(start + step, tall)
            tiles = _tiles(columns[:, 2 * start:2 * stop + 2], room)
            products = _products(tiles, kernels[..., -channels:, :], room, 'products')
            if coarse is not None:
                tiles = _tiles_enlarged(around[start:stop + 2], room)
                products[:3, :3] += _products(tiles, kernels[:3, :3, :-channels], room, 'more')
            # the one that occurs once in all four results
            products[1, 1] += bias
            np.maximum(_results(products, room), 0.0, out=y[start:stop].transpose(4, 1, 0, 2, 3, 5))
        return y.reshape(2 * tall, number, 2 * wide, -1)[:height, :, :width]

    def _last(self, x):
        """The last convolution, with few output channels: products first, then nine sums."""
        height, number, width, channels = x.shape
        products = self._kernels['mass'] @ x.reshape(-1, channels).T
        products = products.reshape(3, 3, 2, height, number, width)
        y = np.zeros((2, height + 2, number, width + 2), dtype=np.float32)
        for i, j in np.ndindex(3, 3):
            y[:, 2 - i:2 - i + height, :, 2 - j:2 - j + width] += products[i, j]
        return y[:, 1:-1, :, 1:-1] + self.weights['mass/bias'].reshape(2, 1, 1, 1)


class _Room:
    """Arrays that are used again for the next maps: new memory costs time."""

    def __init__(self):
        self._kept = {}

    def take(self, name, shape):
        """An array with anything in it."""
        size = math.prod(shape)
        if name not in self._kept or self._kept[name].size < size:
            self._kept[name] = np.empty(size, dtype=np.float32)
        return self._kept[name][:size].reshape(shape)


def _arranged(name, kernel):
    """A kernel as the products need it."""
    *size, channels, out = kernel.shape
    if name == 'mass':
        return np.ascontiguousarray(kernel.transpose(0, 1, 3, 2).reshape(-1, channels))
    if size != [3, 3]:
        return kernel.reshape(channels, out)
    if name == 'down0':
        return kernel.reshape(-1, out)
    if name.endswith(('_more', '_mix')):
        return _to_tiles(_to_tiles(kernel, 0), 1)
    return kernel.reshape(3, -1, out)


def _to_tiles(kernel, axis):
    """From three pixels to four numbers for the products; the others are `_transform` and `_results`."""
    first, middle, last = np.moveaxis(kernel, axis, 0)
    return np.stack([first, 0.5 * (first + middle + last), last, 0.5 * (first - middle + last)], axis=axis)


def _padded(x, room):
    """With zeros around it."""
    height, number, width, channels = x.shape
    padded = room.take('padded', (height + 2, number, width + 2, channels))
    padded[0] = padded[-1] = 0.0
    padded[:, :, 0] = padded[:, :, -1] = 0.0
    padded[1:-1, :, 1:-1] = x
    return padded


def _columns(x, room):
    """Even and odd columns of a map with zeros around it, [parity, y, map, x, channel]."""
    height, number, width, channels = x.shape
    tall, wide = -(-height // 2), -(-width // 2)
    columns = room.take('columns', (2, 2 * tall + 2, number, wide + 1, channels))
    columns[:, 0] = columns[:, height + 1:] = 0.0
    columns[0, :, :, 0] = columns[1, :, :, -1] = 0.0
    if width % 2:
        columns[0, :, :, -1] = 0.0
    columns[1, 1:height + 1, :, :-1] = x[:, :, ::2]
    columns[0, 1:height + 1, :, 1:width // 2 + 1] = x[:, :, 1::2]
    return columns


def _tiles(columns, room):
    """Tiles of 4 x 4 pixels, two pixels apart, transformed: [4, 4, y, map, x, channel]."""
    _, high, number, wide, channels = columns.shape
    tall, wide = high // 2 - 1, wide - 1
    rows = room.take('rows', (4, 2, tall, number, wide + 1, channels))
    tiles = room.take('tiles', (4, 4, tall, number, wide, channels))
    _transform(columns[:, ::2].swapaxes(0, 1), columns[:, 1::2].swapaxes(0, 1), rows.swapaxes(1, 2))
    _transform(*np.moveaxis(rows, (1, 4), (0, 1)), tiles.transpose(1, 4, 0, 2, 3, 5))
    return tiles


def _transform(even, odd, target):
    """Four numbers of every four pixels along the first axis, the even and the odd ones given."""
    np.subtract(even[:-1], even[1:], out=target[0])
    np.add(odd[:-1], even[1:], out=target[1])
    np.subtract(odd[:-1], odd[1:], out=target[2])
    np.subtract(even[1:], odd[:-1], out=target[3])


def _tiles_enlarged(padded, room):
    """`_tiles` of a map enlarged twice but for the last, which are zero: [3, 3, y, map, x, channel]."""
    high, number, wide, channels = padded.shape
    rows = room.take('rows', (3, high - 2, number, wide, channels))
    tiles = room.take('tiles', (3, 3, high - 2, number, wide - 2, channels))
    for x, target in ((padded, rows), (np.moveaxis(rows, 3, 0), tiles.transpose(1, 4, 0, 2, 3, 5))):
        np.subtract(x[:-2], x[1:-1], out=target[0])
        np.add(x[1:-1], x[1:-1], out=target[1])
        np.subtract(x[1:-1], x[2:], out=target[2])
    return tiles


def _products(tiles, kernels, room, name):
    """Tiles times kernels, for each of their places."""
    *places, tall, number, wide, channels = tiles.shape
    products = room.take(name, (*places, tall * number * wide, kernels.shape[-1]))
    np.matmul(tiles.reshape(*places, -1, channels), kernels, out=products)
    return products.reshape(*places, tall, number, wide, -1)


def _results(products, room):
    """Two by two pixels of each tile: [x, y, tile in y, map, tile in x, channel]."""
    half = room.take('half', (2, *products.shape[1:]))
    y = room.take('results', (2, 2, *products.shape[2:]))
    for terms, target in ((products, half), (half.swapaxes(0, 1), y)):
        np.add(terms[0], terms[1], out=target[0])
        target[0] += terms[3]
        np.subtract(terms[1], terms[2], out=target[1])
        target[1] -= terms[3]
    return y


def _average(x):
    """Of all pixels."""
    height, number, width, channels = x.shape
    sums = np.ones(height, dtype=np.float32) @ x.reshape(height, -1)
    return np.full(width, 1.0 / (height * width), dtype=np.float32) @ sums.reshape(number, width, channels)


def _relu(x):
    return np.maximum(x, 0.0, out=x)
