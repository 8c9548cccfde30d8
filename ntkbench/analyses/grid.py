"""Define the grid of truncations on which every kernel is judged, whatever other truncations a spec asks for."""


def grid(size: int) -> tuple[int, ...]:
    """Return the numbers of features 1, 2, 5, 10, 20, 50, ... up to `size`, the number of all features."""
    steps = (digit * 10**power for power in range(len(str(size))) for digit in (1, 2, 5))
    return tuple(k for k in steps if k <= size)
