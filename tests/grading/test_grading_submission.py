"""Which zips and folders are accepted, and what becomes of them."""

import stat
import subprocess
import sys
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


def test_damaged_zips_are_refused(zipped):
    with zipfile.ZipFile(path := zipped({}), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(UTILS, "pass\n" * 1000)
    data = path.read_bytes()
    for damaged in (b"", data[:-30], data.replace(data[50:60], bytes(10)), b"Rar!\x1a\x07" + data):
        path.write_bytes(damaged)
        if damaged[:3] == b"Rar":  # a zip may have anything in front
            assert read("x", path).files
            continue
        with pytest.raises(Refused, match="cannot be unpacked"):
            read("x", path)


def test_protected_zips_are_refused(zipped):
    path = zipped(four())
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(signature)
        while place >= 0:
            data[place + flags] |= 1
            place = data.find(signature, place + 1)
    path.write_bytes(data)
    with pytest.raises(Refused, match="password"):
        read("x", path)


def test_refusals_are_said_in_spanish_too(tmp_path):
    with pytest.raises(Refused) as refusal:
        find(tmp_path / "nowhere")
    assert "no existe" in refusal.value.note.say("es")


def test_what_no_import_could_ask_for_is_left_out(zipped):
    """Such as a file below a file, a name too long to write, a Mac's shadows."""
    odd = ("utils.py/evil.py", f"{'a' * 300}.py", "._utils.py", "models/._vae.py", "my notes.py")
    submission = read("x", zipped(four() | {f"codebase/{path}": "junk" for path in odd}))
    assert set(submission.files) == set(GRADED)


def test_names_written_on_windows_are_understood(zipped):
    entries = {name.replace("/", "\\"): text for name, text in four("José/codebase/").items()}
    assert set(read("x", zipped(entries)).files) == set(GRADED)


def test_models_that_lost_their_folder_are_found(zipped):
    entries = {path.rpartition("/")[2]: f"# {path}" for path in GRADED}
    submission = read("x", zipped(entries))
    assert submission.missing == []
    assert submission.files["models/vae.py"] == b"# models/vae.py"


def test_of_two_copies_the_package_is_read_and_the_other_named(zipped):
    submission = read("x", zipped(four("backup/") | four("work/codebase/")))
    assert submission.package == "codebase"
    assert submission.copies == ("backup",)


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
    (tmp_path / "platform" / "Carla 123").mkdir(parents=True)  # a folder each, an archive in it
    zipped(four(), "platform/Carla 123/entregable.zip")
    (tmp_path / "platform" / "dora.rar").write_bytes(b"Rar!")
    assert [name for name, _ in find(tmp_path / "platform")] == ["Carla 123", "dora"]
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


def test_a_package_of_another_name_is_one_package(tmp_path):
    """Imports under both names give the same modules, though the models import each other."""
    files = {
        "utils.py": b"from submission.models.vae import VAE\n",
        "models/vae.py": b"import sys\nfrom submission import utils as ut\n"
        b"assert ut is sys.modules['codebase.utils']\nVAE = 1\n",
    }
    Submission("x", "submission", files).assemble(tmp_path)
    code = "import codebase.utils, submission.utils as other; assert other is codebase.utils"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_their_own_helpers_keep_their_names(tmp_path):
    files = {"utils.py": b"", "given.py": b"mine", "standins.py": b"mine"}
    Submission("x", "codebase", files).assemble(tmp_path, standins=("log_normal",))
    assert (tmp_path / "codebase" / "given.py").read_text() == "mine"
    assert (tmp_path / "codebase" / "standins.py").read_text() == "mine"


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
    given = (tmp_path / "codebase" / "_given.py").read_text()
    assert "def kl_normal" in given
    for graded in ("sample_gaussian", "log_normal", "log_normal_mixture"):
        assert f"def {graded}(" not in given
    assert not (tmp_path / "codebase" / "_standins.py").exists()
