# Licensed under a 3-clause BSD style license - see licenses/LICENSE.rst
"""Puts the figures of tutorials on their pages: sphinx-gallery finds only those made with pyplot."""


def scraper(block, block_vars, gallery_conf):
    """Save the figures in the variables of a tutorial block; returns their directives."""
    from matplotlib.figure import Figure
    from sphinx_gallery.scrapers import figure_rst

    paths = []
    for value in block_vars['example_globals'].values():
        if isinstance(value, Figure) and not getattr(value, 'on_page', False):
            value.on_page = True
            paths.append(next(block_vars['image_path_iterator']))
            value.savefig(paths[-1], dpi=100)
    return figure_rst(paths, gallery_conf['src_dir'])
