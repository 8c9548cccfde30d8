"""Read event files of TensorBoard, with their checksums, as TensorBoard does."""

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.record_writer import masked_crc32c


class EventFile:
    """What an event file holds: the steps and values of each scalar, the parameters, the texts, the times."""

    def __init__(self, path: Path):
        self.scalars: dict[str, list[tuple[int, float]]] = {}
        self.params: dict[str, object] = {}
        self.texts: dict[str, str] = {}
        self.times: set[float] = set()
        content = path.read_bytes()
        first, *events = self._events(content)
        assert first.file_version == "brain.Event:2"
        for event in events:
            self.times.add(event.wall_time)
            for value in event.summary.value:
                self._take(event.step, value)

    def _events(self, content: bytes) -> list:
        found, at = [], 0
        while at < len(content):
            length, checksum = struct.unpack("<QI", content[at : at + 12])
            assert checksum == masked_crc32c(content[at : at + 8])
            body, end = content[at + 12 : at + 12 + length], at + 12 + length
            assert struct.unpack("<I", content[end : end + 4])[0] == masked_crc32c(body)
            found.append(Event.FromString(body))
            at = end + 4
        return found

    def _take(self, step: int, value) -> None:
        plugin = value.metadata.plugin_data
        if plugin.plugin_name == "text":
            self.texts[value.tag] = value.tensor.string_val[0].decode()
        elif plugin.plugin_name == "hparams":
            params = HParamsPluginData.FromString(plugin.content).session_start_info.hparams
            self.params |= {name: getattr(each, each.WhichOneof("kind")) for name, each in params.items()}
        else:
            self.scalars.setdefault(value.tag, []).append((step, value.simple_value))
