"""Write the log of a run as an event file of TensorBoard, which `tensorboard --logdir FOLDER` shows.

tensorboardX has the messages of TensorBoard and their checksums. Its writers append to a file from a thread of their
own, in which a full disk goes unnoticed; here a file is composed in memory and written as a whole.
"""

import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.record_writer import masked_crc32c

from ntkbench import files
from ntkbench.errors import UsageError
from ntkbench.render import markdown
from ntkbench.run.tracking.run_log import RunLog
from ntkbench.text import slug


def opened(folder: Path) -> Callable[[RunLog], None]:
    """Return the function that writes the event file of a run into a folder of its own below `folder`."""
    return partial(_write, folder)


def _write(folder: Path, log: RunLog) -> None:
    """Write the event file of a run, whose name follows from the run alone; one from before is replaced."""
    of_spec = folder / slug(log.spec)
    place = of_spec / f"{slug(log.title)}-{log.id}"
    if link := next((each for each in (of_spec, place) if each.is_symlink()), None):
        raise UsageError(f"{link} is a link, and may lead anywhere")
    files.write(
        place / f"events.out.tfevents.{int(log.ended.timestamp())}.{log.id}", b"".join(map(_framed, _events(log)))
    )


def _events(log: RunLog) -> Iterator[Event]:
    """Yield the events of a run: parameters, texts, a step for each epoch of a curve, and all numbers at step 0."""
    at = log.ended.timestamp()
    yield Event(wall_time=at, file_version="brain.Event:2")
    begin_and_end = summary.hparams(dict(log.params), dict(log.scalars))
    said = [
        summary.text(title, "\n".join(f"- {markdown(each)}" for each in lines)) for title, lines in log.texts.items()
    ]
    numbers = [_scalar(name, value) for name, value in log.scalars.items()]
    yield from (Event(wall_time=at, summary=each) for each in (*begin_and_end[:2], *said, *numbers, begin_and_end[2]))
    for name, values in log.curves.items():
        yield from (Event(wall_time=at, step=i, summary=_scalar(name, value)) for i, value in enumerate(values, 1))


def _scalar(name: str, value: float) -> Summary:
    """Return a number under its name as it is; tensorboardX alone would replace `=` and spaces in it."""
    return Summary(value=[Summary.Value(tag=name, simple_value=value)])


def _framed(event: Event) -> bytes:
    """Return an event as event files hold it: its length, a checksum of that, its bytes, a checksum of these."""
    content = event.SerializeToString()
    length = struct.pack("<Q", len(content))
    return b"".join(
        (length, struct.pack("<I", masked_crc32c(length)), content, struct.pack("<I", masked_crc32c(content)))
    )
