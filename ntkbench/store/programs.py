"""Keep compiled programs from one process to the next: the folder that JAX reads before it compiles.

JAX executes what it finds here, so the folder must belong to the user and be closed to others: `opened` refuses any
other. JAX's own cache writes entries in place, warns of a torn one at every start and never replaces it. Here an entry
is renamed into place and carries a checksum; one that is not as it was written counts as absent, and is written anew.

    programs = opened(default_folder())        # the command line
    settings.keep_programs(programs)           # each process that computes
"""

import functools
import os
import platform
import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import platformdirs

from ntkbench.errors import StorageError
from ntkbench.files import read_bounded, write

_DIGEST = sha256().digest_size
"""bytes of the checksum at the beginning of an entry"""


def default_folder() -> Path:
    """Return the folder of compiled programs: in the folder that NTKBENCH_CACHE names, or in the user's cache.

    Raise StorageError where the user has no home.
    """
    named = os.environ.get("NTKBENCH_CACHE")
    try:
        cache = Path(named).expanduser() if named else platformdirs.user_cache_path("ntkbench")
    except RuntimeError:  # from either, where the system knows no home
        cache = Path("~")
    if not named and not cache.is_absolute():
        raise StorageError("no home folder is known; NTKBENCH_CACHE can name a folder")
    return cache.absolute() / "programs"


@dataclass(frozen=True)
class Programs:
    """Compiled programs in a folder, as the cache that JAX calls: `get` and `put`. No fault of the disk is raised."""

    folder: Path
    most_bytes: int = 2**30
    """size above which the programs that have not been used for longest are deleted"""

    def get(self, key: str) -> bytes | None:
        """Return the program that JAX knows by `key`; None if there is none, or it is not as it was written."""
        path = self._path_of(key)
        try:
            content = read_bounded(path, self.most_bytes + _DIGEST)
        except OSError:
            return None
        checksum, program = content[:_DIGEST], content[_DIGEST:]
        if checksum != _checksum(key, program):
            return None
        with suppress(OSError):
            os.utime(path)  # its time of use, for `_shrink`
        return program

    def put(self, key: str, program: bytes) -> None:
        """Keep a program; warn if that is not possible."""
        try:
            write(self._path_of(key), _checksum(key, program) + program, durable=False)
            self._shrink()
        except (StorageError, OSError) as error:
            reason = getattr(error.__cause__ or error, "strerror", None) or error
            warnings.warn(f"compiled programs are not kept: {self.folder}: {reason}", stacklevel=2)

    def _path_of(self, key: str) -> Path:
        """Return the file of a program: it is for this kind of machine, and JAX's keys may be too long for a name."""
        return self.folder / sha256(f"{_machine()}\n{key}".encode()).hexdigest()

    def _shrink(self) -> None:
        """Delete files, longest unused first, until the folder is within its bound; what killed writers left, too."""
        found = []
        for entry in os.scandir(self.folder):
            with suppress(FileNotFoundError):  # another process shrinks the folder as well
                state = entry.stat(follow_symlinks=False)
                found.append((state.st_mtime_ns, entry.path, state.st_size))
        excess = sum(size for *_, size in found) - self.most_bytes
        for _, path, size in sorted(found):
            if excess <= 0:
                return
            Path(path).unlink(missing_ok=True)
            excess -= size


def opened(folder: Path) -> Programs:
    """Return the programs in a folder, which is created if it is missing.

    Raise StorageError, with the reason, if it cannot be written, or if other users could put programs into it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}") from error
    if state.st_uid != os.geteuid():
        raise StorageError(f"{folder} belongs to another user")
    if state.st_mode & 0o077:
        raise StorageError(f"{folder} is open to other users; `chmod 700` closes it")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise StorageError(f"{folder} cannot be written")
    return Programs(folder)


def _checksum(key: str, program: bytes) -> bytes:
    """Return the checksum of a program; the key is in it, so that a file under another's name is noticed."""
    return sha256(key.encode() + b"\n" + program).digest()


@functools.cache
def _machine() -> str:
    """Describe what programs are compiled for and JAX's keys do not tell: the processor, and the cores of a process.

    A home folder may serve many machines, and a program of one would compute other bits, or crash, on another.
    """
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:  # another system
        told = ""
    facts = re.findall(r"^(?:vendor_id|model name|flags|Features|CPU [a-z]+)\s*:.*$", told.partition("\n\n")[0], re.M)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "\n".join([platform.machine(), platform.processor(), *facts, str(cores), os.environ.get("NPROC", "")])
