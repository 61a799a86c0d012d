"""From files to integer images, and from integers to [-1, 1].

The way of an image file: `open` finds which kind of source a path is. `sources.folder` (or tar, parquet) lists its files, and
`folders` what their folders mean, as a `Listing`; for the `Index` each is looked at once. `indexing.pictures` makes a set of them;
`indexing.lazy_images` reads their pixels, all at once or batch by batch, by `decoding.image_file`. `splits` holds some out, and
`batches` says which are in a batch.
"""
