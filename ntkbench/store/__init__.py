"""Keep results on disk: records, their arrays, cached stages, locks, the index.

`run` writes a store, every other command reads one. Objects are written to a draft and renamed, so that a file that
exists is whole.

    store = Store(Path("runs"))
    lookup.find(store, run)         # the record of a run, or None
"""
