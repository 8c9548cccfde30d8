"""The numbers of features at which the top eigenspaces of all kernels are judged, whatever else a spec asks for."""


def grid(size: int) -> tuple[int, ...]:
    """1, 2, 5, 10, 20, 50, ... up to `size`, the number of features."""
    steps = (digit * 10**power for power in range(len(str(size))) for digit in (1, 2, 5))
    return tuple(k for k in steps if k <= size)
