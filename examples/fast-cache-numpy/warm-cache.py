"""Computes a table once for a host; whoever comes after it maps it from the cache."""

import os

import numpy

path = '/cache/squares.npy'
is_kept = os.path.exists(path)
if not is_kept:
    numpy.save(path, numpy.arange(1000) ** 2)
table = numpy.load(path, mmap_mode='r')
print(f"{'found' if is_kept else 'computed'} {len(table)} squares, the sum is {table.sum()}")
