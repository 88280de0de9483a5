"""Which zips and folders are accepted, and what becomes of them."""

import io
import json
import os
import stat
import zipfile

import pytest
from conftest import ROOT

from grading import batch
from grading.people import find, loose
from grading.project import GRADED, excerpt
from grading.submission import Submission, read
from grading.tree import MAX_DEPTH, MAX_ENTRIES, MAX_UNPACKED, Refused, refusal

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
    assert submission.package == prefix.strip("/")


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
    link = zipfile.ZipInfo("codebase/data.py")
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
    with pytest.raises(Refused, match=r"more than 50 MB .*; leave out codebase/utils\.py"):
        read("x", big)
    lying = bytearray(big.read_bytes())
    size = (MAX_UNPACKED + 1).to_bytes(4, "little")
    assert lying.count(size) == 2  # in the entry's own header and in the directory
    (tmp_path / "lying.zip").write_bytes(lying.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(Refused):
        read("x", tmp_path / "lying.zip")


def bytes_of(entries):
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return buffer.getvalue()


def test_a_zip_that_holds_nothing_but_a_zip_is_opened(zipped):
    junk = {"__MACOSX/._entrega.zip": b"junk", "informe.pdf": b"%PDF"}
    submission = read("x", zipped(junk | {"ana/Entrega.ZIP": bytes_of(four("ana/codebase/"))}))
    assert set(submission.files) == set(GRADED)
    assert submission.package == "ana/codebase"


def test_what_lies_beside_a_zip_is_graded_and_not_the_zip(zipped):
    old = bytes_of({UTILS: "old", "codebase/models/vae.py": "old"})
    assert read("x", zipped({UTILS: "new", "old.zip": old})).files == {"utils.py": b"new"}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"ana.zip": bytes_of(four()), "ben.zip": bytes_of(four())}, "what lies there: ana.zip"),
        ({"all.zip": bytes_of({"a.zip": bytes_of(four())})}, "what lies there: a.zip"),
        ({"a.zip": b"no zip"}, "is damaged"),
        ({"a.zip": bytes_of(four())[:-30]}, "is damaged"),
        ({"a.zip": bytes(MAX_UNPACKED + 1)}, "more than 50 MB"),
        ({"a.zip": bytes_of({UTILS: bytes(MAX_UNPACKED + 1)})}, "more than 50 MB"),
        ({"a.zip": bytes_of({"../utils.py": "pass"})}, "points outside"),
    ],
)
def test_what_a_zip_in_a_zip_cannot_be(entries, said, zipped):
    with pytest.raises(Refused, match=said):
        read("x", zipped(entries))


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
        with pytest.raises(Refused, match="cannot be unpacked") as refusal:
            read("x", path)
        assert not set(refusal.value.note.say("es").split()) & {"is", "not", "a", "file", "bad"}


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
    assert submission.package == "work/codebase"
    assert submission.copies == ("backup",)


@pytest.mark.parametrize(("text", "encoding", "foreign"), [
    ("# distribución", "utf-8", False),
    ("# distribución", "utf-8-sig", False),
    ("# distribución", "latin-1", True),
    ("\n\n\nx = 1  # distribución", "latin-1", True),
    ("# -*- coding: latin-1 -*-\n# distribución", "latin-1", False),
    ("# -*- coding: elvish -*-", "latin-1", True),
    ("x = 1", "utf-16", True),
])  # fmt: skip
def test_a_file_that_is_no_utf_8_is_known(zipped, text, encoding, foreign):
    submission = read("x", zipped(four() | {UTILS: text.encode(encoding)}))
    assert submission.foreign == ["utils.py"][: int(foreign)]


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


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text("utf-8"))


def test_missing_parts_come_from_this_project_and_graded_ones_never(tmp_path):
    files = {"models/vae.py": b"mine", "train.py": b"theirs"}
    Submission("x", "codebase", files).assemble(tmp_path)
    modules, filled = manifest(tmp_path)["modules"], manifest(tmp_path)["filled"]
    assert filled["codebase.models.nns.v1"] == "_project.models.nns.v1"
    assert (tmp_path / modules["codebase.train"]).read_text() == "theirs"
    assert (tmp_path / modules["codebase.models.vae"]).read_text() == "mine"
    for name in ("utils", "models.gmvae", "models.ssvae"):
        assert f"codebase.{name}" not in modules | filled
    for path in ("vae", "gmvae", "ssvae"):
        assert not (tmp_path / "_project" / "models" / f"{path}.py").exists()


def test_a_stand_in_brings_what_it_needs_and_no_more(tmp_path):
    Submission("x", "codebase", {"models/vae.py": b"mine"}).assemble(
        tmp_path, replaced=["utils.py", "models/gmvae.py"]
    )
    assert manifest(tmp_path)["filled"]["codebase.models.gmvae"] == "_project.models.gmvae"
    assert (tmp_path / "_project" / "utils.py").exists()
    assert not (tmp_path / "_project" / "models" / "ssvae.py").exists()


def test_this_projects_own_refers_to_itself_alone(tmp_path):
    Submission("x", "codebase", {"utils.py": b""}).assemble(tmp_path, whole=True)
    for file in (tmp_path / "_project").rglob("*.py"):
        assert "codebase" not in file.read_text("utf-8")


def test_a_module_of_theirs_is_not_hidden_by_a_folder_of_ours(tmp_path):
    Submission("x", "codebase", {"utils.py": b"", "models/nns.py": b""}).assemble(tmp_path)
    assert not any("models.nns." in name for name in manifest(tmp_path)["filled"])


def test_networks_of_theirs_beside_ours_are_one_package(tmp_path):
    """Their own v1 without an __init__.py: this project's gathers it."""
    files = {"utils.py": b"", "models/nns/v1.py": b"mine"}
    Submission("x", "codebase", files).assemble(tmp_path)
    modules = manifest(tmp_path)["modules"]
    assert modules["codebase.models.nns.v1"] == "own/codebase/models/nns/v1.py"
    text = (tmp_path / modules["codebase.models.nns"]).read_text("utf-8")
    assert "from codebase.models.nns import v1" in text


def test_an_excerpt_holds_what_is_named_and_what_that_needs():
    source = "import a\n\nC = 1\n\n\ndef f():\n    return g()\n\n\ndef g(): ...\n\n\ndef h(): ...\n"
    text = excerpt(source, ["f"]).decode()
    assert "def g" in text
    assert "import a" in text
    assert "def h" not in text


def test_the_given_functions_hold_no_graded_one(tmp_path):
    Submission("x", "codebase", {"utils.py": b""}).assemble(tmp_path, standins=["log_normal"])
    given = (tmp_path / "_project" / "utils.py").read_text()
    assert "def kl_normal" in given
    assert "def log_normal(" in given
    for graded in ("sample_gaussian", "log_normal_mixture"):
        assert f"def {graded}(" not in given


# One row for every person


@pytest.fixture
def folder(tmp_path):
    """Writes a folder of {path: text, or the entries of a zip}, and finds who is in it."""

    def folder(entries, root="all"):
        for path, content in entries.items():
            file = tmp_path / root / path
            if path.endswith("/"):
                file.mkdir(parents=True)
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, dict):
                with zipfile.ZipFile(file, "w") as archive:
                    for entry, text in content.items():
                        archive.writestr(entry, text)
            else:
                file.write_text(content)
        return {name: _outcome(name, path) for name, path in find(tmp_path / root)}

    return folder


def _outcome(name, path):
    try:
        return read(name, path)
    except Refused as refusal:
        return refusal.note.say("en")


def package(*parts):
    return {"/".join((*parts, path)): f"# {parts[0]}" for path in GRADED}


def test_an_archive_beside_another_persons_package(folder):
    found = folder({"Ana/x.zip": four()} | package("Beto", "codebase"))
    assert set(found) == {"Ana", "Beto"}
    assert all(submission.missing == [] for submission in found.values())


def test_whoever_handed_in_nothing_of_use_has_a_row_that_says_so(folder):
    found = folder(
        package("Ana", "codebase")
        | {"Beto/tp.zip": four(), "Carla/tp.ipynb": "{}", "Dora/informe.pdf": "", "Eva/": None}
        | {"Fede/tp.tar.xz": "", "Gabi/sub/tp.zip": four(), "Hugo/src/": None, "Inés.rar": "Rar!"}
    )
    assert set(found) == {"Ana", "Beto", "Carla", "Dora", "Eva", "Fede", "Gabi", "Hugo", "Inés"}
    assert "tp.ipynb" in found["Carla"]
    assert "informe.pdf" in found["Dora"]
    assert ".xz" in found["Fede"]
    assert ".rar" in found["Inés"]
    assert all("none of the graded files" in found[name] for name in ("Carla", "Eva", "Hugo"))
    assert found["Gabi"].missing == []


def test_nobody_handed_in_anything_of_use(folder):
    found = folder({"Carla/tp.ipynb": "{}", "Dora/informe.pdf": ""})
    assert set(found) == {"Carla", "Dora"}


def test_of_two_archives_the_newest_with_graded_files_counts(folder, tmp_path):
    old, new, newest = "Ana/tp1.zip", "Ana/b/tp2.zip", "Ana/figures.zip"
    folder({old: four(), new: four("submission/"), newest: {"a.png": ""}} | {"Beto/tp.zip": four()})
    for age, path in enumerate((newest, new, old)):
        os.utime(tmp_path / "all" / path, (1e9 - age, 1e9 - age))
    found = {name: _outcome(name, path) for name, path in find(tmp_path / "all")}
    assert set(found) == {"Ana", "Beto"}
    assert found["Ana"].package == "submission"
    assert set(found["Ana"].others) == {"tp1.zip", "figures.zip"}


def test_a_damaged_archive_hides_no_good_one(folder, tmp_path):
    folder({"Ana/tp1.zip": four(), "Ana/tp2.zip": "no zip", "Beto/tp.zip": four()})
    os.utime(tmp_path / "all/Ana/tp1.zip", (1e9, 1e9))
    found = {name: _outcome(name, path) for name, path in find(tmp_path / "all")}
    assert found["Ana"].others == ("tp2.zip",)


def test_a_package_and_an_older_archive_of_it_are_one_person(folder, tmp_path):
    entries = package("codebase") | {"entregable.zip": four("submission/"), "run_vae.py": ""}
    folder(entries, "Ana")
    os.utime(tmp_path / "Ana/entregable.zip", (1e9, 1e9))
    ((name, path),) = find(tmp_path / "Ana")
    assert name == "Ana"
    assert read(name, path).package == "codebase"


def test_a_project_of_one_person_is_one_row(folder):
    project = package("tp", "codebase") | {"figs/a.png": "", "data/train.npz": "", "logs/": None}
    assert set(folder(project, "Ana")) == {"Ana"}
    assert set(folder(package("src", "submission") | {"nb/x.ipynb": ""}, "Beto")) == {"Beto"}


def test_the_grader_s_own_folder_and_an_unpacked_archive_are_nobody_else(folder, tmp_path):
    found = folder(
        package("Ana", "codebase")
        | {"Ana.zip": four(), "Beto.zip": four(), "grades/grades.csv": "", "grades/ana.md": ""}
    )
    assert set(found) == {"Ana", "Beto"}


def test_a_script_of_the_teacher_s_makes_nobody_disappear(folder, tmp_path):
    entries = package("Ana", "codebase") | {"Beto/tp.ipynb": "", "Carla/": None, "juntar.py": ""}
    assert set(folder(entries | {"dora": "", "eva.ipynb": ""})) == {"Ana", "Beto", "Carla"}
    assert loose(tmp_path / "all") == ["dora", "eva.ipynb", "juntar.py"]
    assert loose(tmp_path / "all" / "Ana") == []


def test_data_sets_beside_a_package_are_no_submissions(folder):
    images = {f"{name}-ubyte.gz": "" for name in ("train-images-idx3", "t10k-images-idx3")}
    assert set(folder(package("codebase") | images, "Ana")) == {"Ana"}


def test_each_of_several_paths_has_its_rows(folder, tmp_path):
    """As in `grade.py */`: an empty folder among them stops nobody."""
    folder(package("Ana", "codebase") | {"Beto/tp.ipynb": "", "Carla/": None})
    found, refused = batch._found([tmp_path / "all" / name for name in ("Ana", "Beto", "Carla")])
    assert [name for name, _ in found] == ["Ana", "Beto", "Carla"]
    assert len(refused) == 2
    assert "tp.ipynb" in _outcome(*found[1])
    assert "none of the graded files" in _outcome(*found[2])


# Depth, and ballast


def nested(depth):
    return "".join(f"{'abcdefgh'[i % 8]}/" for i in range(depth)) + "codebase/"


@pytest.mark.parametrize("depth", [0, 3, 4, 20])
def test_depth_takes_nothing_away(zipped, folder, depth):
    entries = four(nested(depth)) | {f"{nested(depth)}models/nns/v1.py": "# own networks"}
    unzipped = {f"Ana/{path}": text for path, text in entries.items()}
    found = folder(unzipped | package("Beto", "codebase"))
    for submission in (read("x", zipped(entries)), found["Ana"]):
        assert submission.missing == []
        assert "models/nns/v1.py" in submission.files


def test_the_limit_of_depth_is_said(zipped, folder):
    entries = four() | {f"{nested(MAX_DEPTH)}utils.py": ""}
    found = folder({f"Ana/{path}": text for path, text in entries.items()} | {"Beto/": None})
    assert f"more than {MAX_DEPTH} folders deep" in _outcome("x", zipped(entries))
    assert f"more than {MAX_DEPTH} folders deep" in found["Ana"]


def test_ballast_neither_counts_nor_refuses(zipped):
    link = zipfile.ZipInfo("venv/lib/os.py")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zipped(four() | {f"logs/{i}.txt": "" for i in range(MAX_ENTRIES + 1)})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/train.npy", bytes(MAX_UNPACKED + 1))
        archive.writestr("old/big.json", bytes(MAX_UNPACKED + 1))
        archive.writestr(link, "/usr/lib/python3/os.py")
        archive.writestr("../notes.txt", "")
    assert read("x", path).missing == []


@pytest.mark.parametrize(("entries", "named"), [
    ({"codebase/models/big.json": bytes(MAX_UNPACKED)}, "codebase/models/big.json"),
    ({f"codebase/runs/r{i}.json": "" for i in range(MAX_ENTRIES + 1)}, "codebase/runs"),
])  # fmt: skip
def test_a_refusal_names_what_to_leave_out(zipped, entries, named):
    path = zipped(four())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    assert f"leave out {named}" in _outcome("x", path).replace("those of ", "")


@pytest.mark.parametrize("language", ["es"])
def test_no_refusal_quotes_python(tmp_path, language):
    """A zip that may not be read, and an unknown system error."""
    for error in (PermissionError(13, "Permission denied"), OSError(5, "Input/output error")):
        text = refusal(tmp_path / "x.zip", error).note.say(language)
        assert "denied" not in text
        assert "error" not in text or "sistema" in text


@pytest.mark.parametrize("path", ["models/vae.py", "models/gmvae.py", "models/ssvae.py"])
def test_what_stands_in_brings_what_it_imports_by_way_of_others(path):
    """A model of ours reaches utils.py through files that are not graded."""
    from grading import project

    assert b"def sample_gaussian" in project.private((path,))["utils.py"]
    assert b"def sample_gaussian" not in project.private()["utils.py"]
    others = {p for p in project.GRADED if p != path and p != "utils.py"}
    if path == "models/vae.py":
        assert not others & project.private((path,)).keys()
