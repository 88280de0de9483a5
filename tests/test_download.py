"""The download, from servers on this machine that stand in for the mirrors."""

import contextlib
import gc
import gzip
import hashlib
import http.server
import socket
import threading

import pytest
import torchvision
from test_data import write_idx

from codebase.data import datasets, download, known
from codebase.errors import UserError

# urllib leaves the socket of a request that timed out to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected():
    """Has those sockets collected here, not in the middle of whichever test comes next."""
    yield
    gc.collect()


@contextlib.contextmanager
def serving(answer):
    """A mirror on localhost; `answer(handler)` writes the response."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(ConnectionError):
                answer(self)

        do_HEAD = do_GET

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # closing the server then waits for its answers
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The four files as a mirror has them: name → gzipped content."""
    folder = tmp_path_factory.mktemp("mirror") / "raw"
    write_idx(folder)
    names = datasets.IDX_FILES
    return {f"{n}.gz": gzip.compress((folder / n).read_bytes(), mtime=0) for n in names}


def good(packed):
    def answer(handler):
        content = packed[handler.path.rsplit("/", 1)[-1]]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(content)

    return answer


def unavailable(handler):
    handler.send_error(503)


@pytest.fixture
def mirrors(monkeypatch, packed):
    """Sets MNIST's mirrors, and its checksums to those of our files."""

    def use(*urls):
        resources = [(name, hashlib.md5(c).hexdigest()) for name, c in packed.items()]
        monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
        monkeypatch.setattr(known, "MNIST", hashlib.sha256(bytes(70_000 * 785)).hexdigest())
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", list(urls))

    return use


def left_behind(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith("download-")]


def test_missing_files_are_downloaded_and_checked(tmp_path, packed, mirrors):
    with serving(good(packed)) as url:
        mirrors(url)
        dataset = datasets.load("mnist", tmp_path)
    assert dataset.train_x.shape == (60_000, 784)
    assert not left_behind(tmp_path)
    mirrors("http://127.0.0.1:1/")  # a second load needs no mirror
    assert datasets.load("auto", tmp_path).name == "mnist"


def test_a_dead_first_mirror_is_passed_over(tmp_path, packed, mirrors):
    with serving(unavailable) as dead, serving(good(packed)) as alive:
        mirrors(dead, alive)
        assert datasets.load("mnist", tmp_path).name == "mnist"


def test_a_mirror_with_a_wrong_checksum_is_passed_over(tmp_path, packed, mirrors):
    spoiled = {name: content[:-9] + b"x" + content[-8:] for name, content in packed.items()}
    with serving(good(spoiled)) as bad, serving(good(packed)) as fine:
        mirrors(bad, fine)
        assert datasets.load("mnist", tmp_path).name == "mnist"


def test_a_mirror_that_hangs_is_passed_over(tmp_path, packed, mirrors, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 2)  # of the good mirror too
    release = threading.Event()
    with serving(lambda handler: release.wait(20)) as hanging, serving(good(packed)) as fine:
        mirrors(hanging, fine)
        assert datasets.load("mnist", tmp_path).name == "mnist"
        release.set()
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("fault", ["503", "checksum"])
def test_when_every_mirror_fails_the_error_says_what_was_tried(tmp_path, packed, mirrors, fault):
    spoiled = dict.fromkeys(packed, b"not it")
    with serving(unavailable if fault == "503" else good(spoiled)) as url:
        mirrors(url)
        with pytest.raises(UserError) as caught:
            datasets.load("mnist", tmp_path)
    message = str(caught.value)
    assert url in message
    assert ("503" if fault == "503" else "corrupted") in message
    assert str(tmp_path / "MNIST" / "raw") in message
    assert "--dataset digits" in message
    assert not (tmp_path / "MNIST").exists()
    assert not left_behind(tmp_path)


def test_auto_goes_on_with_digits_and_says_so(tmp_path, mirrors, capsys):
    mirrors("http://127.0.0.1:1/")
    assert datasets.load("auto", tmp_path).name == "digits"
    assert "NO MNIST" in capsys.readouterr().out


def test_packed_files_in_place_are_used_without_network(tmp_path, packed, mirrors):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in packed.items():
        (raw / name).write_bytes(content)
    mirrors("http://127.0.0.1:1/")
    assert datasets.load("mnist", tmp_path).name == "mnist"


def test_a_packed_file_with_a_wrong_checksum_is_not_used(tmp_path, packed, mirrors):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in packed.items():
        (raw / name).write_bytes(content[:-1])
    mirrors("http://127.0.0.1:1/")
    with pytest.raises(UserError, match="could not be downloaded"):
        datasets.load("mnist", tmp_path)


def test_a_folder_that_was_mistyped_is_not_made(tmp_path, mirrors):
    mirrors("http://127.0.0.1:1/")
    with pytest.raises(UserError, match="could not be downloaded"):
        datasets.load("mnist", tmp_path / "dtaa")
    assert not (tmp_path / "dtaa").exists()
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="could not be downloaded"):
        datasets.load("fashion", tmp_path / "there")
    assert [*(tmp_path / "there").iterdir()] == []
