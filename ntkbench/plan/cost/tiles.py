"""Find the kernel matrices of a plan that are computed in tiles which the store keeps, for processes to divide.

`plan.cost.kernels.tile_rows` decides which these are: matrices that take minutes, or more memory than there is.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from ntkbench.errors import UsageError
from ntkbench.plan import keys, memory
from ntkbench.plan.cost.kernels import tile_rows
from ntkbench.plan.runs import Plan, Run, Shard
from ntkbench.render import size
from ntkbench.spec.kernels import InfiniteKernel


@dataclass(frozen=True)
class TiledMatrix:
    """The matrix of an infinite kernel that is computed in tiles.

    `run`: one of those that need it; `kernel`: its id there; `rows`: of a tile; `part`: the tiles that are asked for,
    None for all.
    """

    run: Run
    kernel: str
    rows: int
    part: Shard | None = None

    @property
    def tiles(self) -> int:
        """Return the number of tiles of the lower half of the matrix."""
        along = -(-self.run.cell.data.n_train // self.rows)
        return along * (along + 1) // 2

    @property
    def bytes(self) -> int:
        """Return about how many bytes the tiles take on a disk, in the precision of the kernel."""
        itemsize = 4 if self.run.cell.numerics.kernel == "float32" else 8
        return self.tiles * self.rows**2 * itemsize

    @property
    def factor_bytes(self) -> int:
        """Return the bytes that the tiles of a factor take while one is solved that is larger than memory, else 0."""
        larger = 8 * self.run.cell.data.n_train**2 > memory.matrix_bytes()
        return 8 * self.tiles * self.rows**2 if larger else 0


def tiled(runs: Iterable[Run], made: Collection[str] = ()) -> dict[str, TiledMatrix]:
    """Return the matrices of these runs that are computed in tiles, by `keys.kernel_key`.

    `made`: keys of stages that the store has; matrices of which nothing else is needed are left out.
    """
    found: dict[str, TiledMatrix] = {}
    for run in {id(run.cell): run for run in runs}.values():
        for stage, key, name in keys.shared_stages(run.cell):
            kernel = run.cell.kernels.get(name) if stage in ("kernel", "solve") and key not in made else None
            if isinstance(kernel, InfiniteKernel) and (rows := tile_rows(run.cell, kernel)):
                found.setdefault(keys.kernel_key(run.cell, name), TiledMatrix(run, name, rows))
    return found


def disk_bytes(matrices: Collection[TiledMatrix]) -> tuple[int, int]:
    """Return the bytes on a disk of all tiles of these matrices, and of those of the largest factor."""
    return sum(matrix.bytes for matrix in matrices), max((matrix.factor_bytes for matrix in matrices), default=0)


def require_disk(matrices: Collection[TiledMatrix], free: int, *, force: bool) -> str:
    """Return a warning if the tiles of these matrices take more than the `free` bytes of a disk; else an empty text.

    UsageError if they take more than twice as much, unless `force`: tiles of an earlier start may be there.
    """
    needed = sum(disk_bytes(matrices))
    if needed <= free:
        return ""
    said = f"tiles of kernels take about {size(needed)} of the disk of the store, and {size(free)} are free there"
    helps = "fewer training examples, numerics.kernel: float32, or a --store on a larger disk"
    if needed > 2 * free and not force:
        raise UsageError(f"{said}; what helps is {helps}. --force begins all the same")
    return f"{said}: the disk may become full; what helps is {helps}"


def of_others(plan: Plan, shard: Shard, made: Collection[str] = ()) -> list[TiledMatrix]:
    """Return the matrices that runs of other parts of a plan need, each with the share of its tiles of this part."""
    own = tiled(shard.part(plan).runs, made)
    return [replace(matrix, part=shard) for key, matrix in tiled(plan.runs, made).items() if key not in own]
