"""Keep what lies on disk: records, their arrays, cached stages, locks, the index."""
