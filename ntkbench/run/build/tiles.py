"""Keep the tiles of a large kernel matrix, and of its Cholesky factor, as objects of the store.

Each tile is an object of its own, written whole or not at all: a process that is killed loses one tile, and several
processes, on one machine or on many, divide the tiles among themselves.

    kept = StoredTiles(store, "tile", f"{key}@4096", n, 4096, make)
    kept.fill()                   # computes what is neither there nor being computed elsewhere
    K = kept.tiles                # `ntk.tiled.solve` and `ntk.tiled.whole` take these
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ntkbench.ntk.tiled import Get, Tiles
from ntkbench.plan import memory
from ntkbench.plan.runs import Shard
from ntkbench.store.folder import StoreWarning
from ntkbench.store.store import Store

Tell = Callable[[str], None]
"""receives what is going on, and may raise to end it"""


@dataclass
class StoredTiles:
    """The tiles of the lower half of a matrix of `n` rows, as objects of one stage whose keys begin with `key`.

    `make` computes the tile in a row and a column of tiles; `tell` is called before each tile that is computed.
    """

    store: Store
    stage: str
    key: str
    n: int
    rows: int
    make: Get
    name: str = "matrix"
    """what `tell` calls the matrix"""
    tell: Tell = lambda what: None
    _held: dict[str, np.ndarray] = field(default_factory=dict)
    """tiles that stay in memory, the first ones that fit into `memory.kernel_bytes`: an order in which old ones made
    room would find none of them at the next pass"""

    @property
    def tiles(self) -> Tiles:
        """Return the matrix: tiles that are not in the store are computed when they are asked for."""
        return Tiles(self.n, self.rows, self.get)

    def fill(self, part: Shard | None = None) -> None:
        """Compute the tiles that the store lacks, those that other processes are at last; `part`: those of it alone."""
        places = list(self.tiles.places)
        mine = places if part is None else places[part.number - 1 :: part.count]
        busy = [place for place in mine if not self._made(*place, wait=False)]
        for place in busy:
            self._made(*place, wait=True)

    def read(self, i: int, j: int) -> np.ndarray:
        """Return a tile from the store, or compute and store it."""
        if (found := self._stored(i, j)) is None:
            with self.store.lock(self._lock(self._name(i, j))):
                if (found := self._stored(i, j)) is None:
                    found = self._computed(i, j)
        return found

    def get(self, i: int, j: int) -> np.ndarray:
        """Return a tile, from memory if it is held there, and hold it if there is room. It must not be changed."""
        name = self._name(i, j)
        if name in self._held:
            return self._held[name]
        found = self.read(i, j)
        if found.nbytes + sum(array.nbytes for array in self._held.values()) <= memory.kernel_bytes():
            self._held[name] = found
        return found

    def release(self) -> None:
        """Free the memory of the tiles that are held."""
        self._held.clear()

    def discard(self) -> None:
        """Remove all tiles from the store and from memory."""
        self.release()
        for place in self.tiles.places:
            self.store.discard(self.stage, self._name(*place))

    def _made(self, i: int, j: int, wait: bool) -> bool:
        """Have a tile in the store; return False if another process is at it and it is not waited for."""
        name = self._name(i, j)
        if self.store.has(self.stage, name):
            return True
        with self.store.lock(self._lock(name), wait=wait) as held:
            if held and not self.store.has(self.stage, name):
                self._computed(i, j)
        return held

    def _computed(self, i: int, j: int) -> np.ndarray:
        """Compute and store a tile, and return it."""
        count = len(self.tiles.blocks)
        number = 1 + sum(count - column for column in range(j)) + i - j
        self.tell(f"{self.name}: {self.stage} {number} of {count * (count + 1) // 2}")
        found = self.make(i, j)
        self.store.save(self.stage, self._name(i, j), {"tile": found})
        return found

    def _stored(self, i: int, j: int) -> np.ndarray | None:
        """Return a tile of the store; None if there is none, or one that cannot be a tile of this matrix."""
        stored = self.store.load(self.stage, name := self._name(i, j))
        if stored is None:
            return None
        found, blocks = stored.arrays.get("tile"), self.tiles.blocks
        shape = tuple(block.stop - block.start for block in (blocks[i], blocks[j]))
        if set(stored.arrays) == {"tile"} and found is not None and found.dtype.kind == "f" and found.shape == shape:
            return found
        warnings.warn(f"{self.stage} {name} in the store is no tile of {shape}; it is made again", StoreWarning, 3)
        self.store.discard(self.stage, name)
        return None

    def _name(self, i: int, j: int) -> str:
        return f"{self.key}-{i}-{j}"

    def _lock(self, name: str) -> str:
        return f"{self.stage}-{name}"
