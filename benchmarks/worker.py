"""One side of one case in a process of its own: `worker.py MODULE CASE INPUTS [tiny]`.

Reads a command a line and answers a line of JSON: `time` runs once; `save FILE` writes what is compared; the end of
input is the end. Both sides run this file, each with its own Python.
"""

import importlib
import json
import os
import resource
import sys
import time

import jax
import numpy as np
from cases import CASES


def peak_bytes() -> int:
    """The most memory that this process has had at once."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def device_bytes() -> int | None:
    """The most memory of the accelerator that was in use; None on the CPU."""
    return (jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def main() -> None:
    module, name, inputs, *tiny = sys.argv[1:]
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no reply

    def reply(**values):
        print(json.dumps(values), file=replies, flush=True)

    case = CASES[name].tiny() if tiny else CASES[name]
    side = importlib.import_module(module)
    arrays = dict(np.load(inputs))
    jax.block_until_ready(jax.device_put(arrays["X"]))
    baseline = peak_bytes()
    run, compared = side.prepare(case, arrays)
    reply(versions=side.versions(), backend=jax.default_backend(), baseline=baseline)

    result = None
    for line in sys.stdin:
        match line.split():
            case ["time"]:
                start = time.perf_counter()
                result = jax.block_until_ready(run())
                reply(seconds=time.perf_counter() - start, peak=peak_bytes(), device=device_bytes())
            case ["save", path]:
                array = np.asarray(compared(result))
                if array.dtype != arrays["X"].dtype:
                    raise TypeError(f"{module} gives {array.dtype} for {arrays['X'].dtype}")
                np.save(path, array)
                reply()


if __name__ == "__main__":
    main()
