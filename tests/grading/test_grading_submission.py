"""Which zips and folders are accepted, and what becomes of them."""

import stat
import zipfile

import pytest
from conftest import ROOT

from grading.submission import GRADED, MAX_UNPACKED, Refused, Submission, excerpt, find, read

UTILS = "codebase/utils.py"


@pytest.fixture
def zipped(tmp_path):
    """Writes a zip of {name: content}."""

    def zipped(entries, name="entregable.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content)
        return tmp_path / name

    return zipped


def four(prefix="codebase/"):
    return {prefix + path: f"# {path}" for path in GRADED}


@pytest.mark.parametrize("prefix", ["codebase/", "ana/entrega/codebase/", "submission/", ""])
def test_the_four_files_are_found_wherever_they_lie(zipped, prefix):
    submission = read("x", zipped(four(prefix) | {"__MACOSX/codebase/utils.py": "junk"}))
    assert {path: data.decode() for path, data in submission.files.items()} == {
        path: f"# {path}" for path in GRADED
    }
    assert submission.missing == []
    assert submission.package == ([p for p in prefix.split("/") if p] or ["codebase"])[-1]


def test_folders_are_read_like_zips(tmp_path):
    for path in GRADED:
        file = tmp_path / "x" / "codebase" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("pass")
    assert set(read("x", tmp_path / "x").files) == set(GRADED)


@pytest.mark.parametrize(
    "name", ["/etc/utils.py", "../utils.py", "a/../../utils.py", "C:/utils.py"]
)
def test_paths_out_of_the_zip_are_refused(zipped, name):
    with pytest.raises(Refused, match="points outside"):
        read("x", zipped(four() | {name: "pass"}))


def test_links_are_refused(zipped):
    link = zipfile.ZipInfo("codebase/data")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zipped(four())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(Refused, match="is a link"):
        read("x", path)


def test_links_in_folders_are_not_followed(tmp_path):
    secret = tmp_path / "secret.py"
    secret.write_text("secret")
    package = tmp_path / "x" / "codebase"
    package.mkdir(parents=True)
    (package / "utils.py").write_text("pass")
    (package / "stolen.py").symlink_to(secret)
    assert set(read("x", tmp_path / "x").files) == {"utils.py"}


def test_bombs_are_refused(zipped, tmp_path):
    big = tmp_path / "bomb.zip"
    with zipfile.ZipFile(big, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(UTILS, bytes(MAX_UNPACKED + 1))
    with pytest.raises(Refused, match="unpacks to more"):
        read("x", big)
    lying = bytearray(big.read_bytes())
    size = (MAX_UNPACKED + 1).to_bytes(4, "little")
    assert lying.count(size) == 2  # in the entry's own header and in the directory
    (tmp_path / "lying.zip").write_bytes(lying.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(Refused):
        read("x", tmp_path / "lying.zip")


def test_what_is_no_zip_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    path.write_text("nothing")
    with pytest.raises(Refused, match="cannot be unpacked"):
        read("x", path)


def test_a_zip_without_graded_files_is_refused(zipped):
    with pytest.raises(Refused, match="none of the graded files"):
        read("x", zipped({"README.md": "hello"}))


def test_many_are_found_in_a_folder(zipped, tmp_path):
    zipped(four(), "b.zip")
    zipped(four(), "a.zip")
    assert [name for name, _ in find(tmp_path)] == ["a", "b"]
    assert [name for name, _ in find(tmp_path / "a.zip")] == ["a"]
    for person in ("ana", "beto"):
        package = tmp_path / "folders" / person / "codebase"
        package.mkdir(parents=True)
        (package / "utils.py").write_text("pass")
    assert [name for name, _ in find(tmp_path / "folders")] == ["ana", "beto"]
    assert [name for name, _ in find(tmp_path / "folders" / "ana")] == ["ana"]
    assert [name for name, _ in find(ROOT)] == [ROOT.name]
    with pytest.raises(Refused, match="does not exist"):
        find(tmp_path / "nowhere")


def test_missing_parts_come_from_this_project_and_graded_ones_never(tmp_path):
    Submission("x", "codebase", {"models/vae.py": b"mine", "train.py": b"theirs"}).assemble(
        tmp_path
    )
    root = tmp_path / "codebase"
    assert (root / "models" / "nns" / "v1.py").exists()
    assert (root / "train.py").read_text() == "theirs"
    assert (root / "models" / "vae.py").read_text() == "mine"
    for path in ("utils.py", "models/gmvae.py", "models/ssvae.py"):
        assert not (root / path).exists()


def test_a_module_of_theirs_is_not_hidden_by_a_folder_of_ours(tmp_path):
    Submission("x", "codebase", {"utils.py": b"", "models/nns.py": b""}).assemble(tmp_path)
    assert not (tmp_path / "codebase" / "models" / "nns").exists()


def test_an_excerpt_holds_what_is_named_and_what_that_needs():
    source = "import a\n\nC = 1\n\n\ndef f():\n    return g()\n\n\ndef g(): ...\n\n\ndef h(): ...\n"
    text = excerpt(source, ["f"]).decode()
    assert "def g" in text
    assert "import a" in text
    assert "def h" not in text


def test_the_given_functions_hold_no_graded_one(tmp_path):
    Submission("x", "codebase", {"utils.py": b""}).assemble(tmp_path)
    given = (tmp_path / "codebase" / "given.py").read_text()
    assert "def kl_normal" in given
    for graded in ("sample_gaussian", "log_normal", "log_normal_mixture"):
        assert f"def {graded}(" not in given
    assert not (tmp_path / "codebase" / "standins.py").exists()
