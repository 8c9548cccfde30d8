"""Make every process whose PYTHONPATH begins with this folder compute kernels of a few examples in tiles.

Ray's workers import nothing of a test, and so get this from the environment.
"""

import os
import time

if rows := int(os.environ.get("NTKBENCH_TEST_TILE_ROWS", "0")):
    from ntkbench.plan import keys, memory
    from ntkbench.plan.cost import kernels

    keys.SOLVED_FROM, kernels.TILE_ROWS = 1, rows
    kernels.is_cheaper_than_its_spectrum = lambda cell, kernel: True
    memory.matrix_bytes = lambda accelerator_bytes=None: 1e4

    if slow := float(os.environ.get("NTKBENCH_TEST_TILE_SECONDS", "0")):
        from ntkbench.run.build.tiles import StoredTiles

        save = StoredTiles._computed

        def slowly(self: StoredTiles, i: int, j: int):
            """Take a while for a tile, as a large one does."""
            time.sleep(slow)
            return save(self, i, j)

        StoredTiles._computed = slowly
