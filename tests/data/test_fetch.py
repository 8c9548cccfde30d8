import gzip
import hashlib
import io
import socket
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ntkbench.data import fetch as fetching
from ntkbench.data.catalog import CATALOG
from ntkbench.data.fetch import DOWNLOADS, Download, fetch, install
from ntkbench.data.layouts import LAYOUTS
from ntkbench.data.load import find
from ntkbench.errors import DataError
from tests.data.conftest import sha256


@dataclass
class Server:
    """Serves `files` and remembers what was asked for; a file in `cut` ends halfway."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.removeprefix("/")
            state.asked.append(name)
            content = state.files.get(name)
            self.send_response(404 if content is None else 200)
            content = content or b""
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if name in state.cut else content)

        def log_message(self, format, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def gzipped(tiny, server) -> Download:
    server.files |= {f"{name}.gz": gzip.compress(content) for name, content in tiny.contents.items()}
    return Download(server.address, {name: sha256(content) for name, content in server.files.items()})


def tarred(server, members: dict[str, bytes]) -> Download:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    server.files["tiny.tar.gz"] = buffer.getvalue()
    return Download(server.address, {"tiny.tar.gz": "md5:" + hashlib.md5(buffer.getvalue()).hexdigest()})


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


WHOLE = {f"Tiny/raw/{name}" for name in ("train-images", "train-labels", "test-images", "test-labels")}


@pytest.mark.parametrize("progress", [False, True])
def test_files_one_by_one(tiny, server, tmp_path, progress, capsys):
    install(tiny.layout, gzipped(tiny, server), tmp_path, progress)
    assert names(tmp_path) == WHOLE
    assert len(find(tiny.entry, [tiny.layout], [tmp_path]).train) == 6
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("train-images.gz" in shown.err) == progress


def test_one_archive(tiny, server, tmp_path):
    members = {f"Tiny/raw/{name}": content for name, content in tiny.contents.items()}
    install(
        tiny.layout, tarred(server, {"../evil": b"x", "/tmp/evil": b"x", "Tiny/raw/other": b"x", **members}), tmp_path
    )
    assert names(tmp_path) == WHOLE
    assert not (tmp_path.parent / "evil").exists()
    assert len(find(tiny.entry, [tiny.layout], [tmp_path]).train) == 6


def test_what_is_there_and_right_is_kept(tiny, server, tmp_path):
    download = gzipped(tiny, server)
    folder = tmp_path / "Tiny" / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images.gz").write_bytes(gzip.compress(tiny.contents["train-images"], 1))
    (folder / "train-labels").write_bytes(tiny.contents["train-labels"][:-1])
    (folder / "test-images").write_bytes(tiny.contents["test-images"])
    install(tiny.layout, download, tmp_path)
    assert server.asked == ["train-labels.gz", "test-labels.gz"]
    assert len(find(tiny.entry, [tiny.layout], [tmp_path]).train) == 6
    install(tiny.layout, download, tmp_path)
    assert len(server.asked) == 2


def test_after_an_interruption_the_rest_is_fetched(tiny, server, tmp_path):
    download = gzipped(tiny, server)
    server.cut = {"test-images.gz"}
    with pytest.raises(DataError, match=r"test-images\.gz cannot be fetched: "):
        install(tiny.layout, download, tmp_path)
    assert names(tmp_path) == {"Tiny/raw/train-images", "Tiny/raw/train-labels"}, "whole files only"
    server.cut, server.asked = set(), []
    install(tiny.layout, download, tmp_path)
    assert server.asked == ["test-images.gz", "test-labels.gz"]
    assert names(tmp_path) == WHOLE


def test_offline(tiny, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(DataError) as caught:
            install(tiny.layout, Download(address, {"train-images.gz": "md5:0"}), tmp_path)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{address}/train-images.gz cannot be fetched: ")
    assert second == (
        f"Without a connection: get that file on another machine and put it, unpacked, into {tmp_path}/Tiny/raw"
    )


def test_an_address_that_is_gone(tiny, server, tmp_path):
    with pytest.raises(DataError, match="cannot be fetched: 404"):
        install(tiny.layout, Download(server.address, {"train-images.gz": "md5:0"}), tmp_path)


def test_wrong_checksum(tiny, server, tmp_path):
    download = gzipped(tiny, server)
    server.files["train-labels.gz"] = b"<html>please log in</html>"
    with pytest.raises(DataError, match=r"the download from .*train-labels\.gz does not have the expected content"):
        install(tiny.layout, download, tmp_path)
    assert names(tmp_path) == {"Tiny/raw/train-images"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"Tiny/raw/other": b"x"}, "has no file Tiny/raw/train-images"),
        ({"Tiny/raw/train-images": b"x"}, r"train-images in tiny\.tar\.gz is damaged or not the original"),
        ({"Tiny/raw/train-images": bytes(10**7)}, r"more than the 52 bytes it should have"),
    ],
)
def test_an_archive_of_something_else(tiny, server, tmp_path, members, message):
    with pytest.raises(DataError, match=message):
        install(tiny.layout, tarred(server, members), tmp_path)
    assert names(tmp_path) == set()


def test_a_folder_that_cannot_be_written(tiny, server, tmp_path):
    (tmp_path / "Tiny").write_bytes(b"a file in the way")
    with pytest.raises(DataError, match=r"cannot write to .*; choose another folder with --data-dir"):
        install(tiny.layout, gzipped(tiny, server), tmp_path)


def test_fetch_by_name(tiny, server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "LAYOUTS", {"mnist": (tiny.layout,)})
    monkeypatch.setattr(fetching, "DOWNLOADS", {"mnist": gzipped(tiny, server)})
    monkeypatch.chdir(tmp_path)
    assert fetch("mnist", Path("here"), progress=False) == tmp_path / "here"
    assert names(tmp_path / "here") == WHOLE
    monkeypatch.setattr(fetching, "cache", lambda: tmp_path / "cache")
    assert fetch("mnist", None, progress=False) == tmp_path / "cache"


def test_the_bundled_set_needs_no_fetching(tmp_path):
    assert (fetch("fashion_mnist_mini", tmp_path, progress=False) / "fashion_mnist_mini.npz").is_file()


def test_every_file_of_every_layout_is_downloaded():
    assert set(DOWNLOADS) == {name for name, entry in CATALOG.items() if not entry.bundled}
    for name, download in DOWNLOADS.items():
        gz = {f"{file.name}.gz" for file in LAYOUTS[name][0].files}
        assert set(download.checksums) in (gz, {"cifar-10-binary.tar.gz"})
