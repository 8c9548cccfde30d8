"""Care of a store: its size, damaged files, files that nothing uses, and merges with other stores.

The commands `ntkbench store du`, `verify`, `gc` and `merge` call it.

    usage(items(store), summaries(store))
"""
