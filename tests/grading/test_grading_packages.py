"""However a package is called, laid out and completed, what is right in it keeps its points."""

import itertools
import re
import zipfile

import pytest

from grading import report, sandbox
from grading.judge import judge
from grading.project import GRADED
from grading.submission import Submission, read

ITEMS = {"1.1": 9, "1.2": 9, "2.1": 22, "3.2": 21}
QUICK = ("log_normal", "VAE")
WORTH = 15  # of those two


@pytest.fixture
def hand_in(tmp_path, launcher):
    """Judges a zip of {name: content}."""

    def hand_in(entries, only=QUICK, name="entregable"):
        path = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content)
        return judge(read(name, path), launcher, sandbox.Limits(60.0), 0, only)

    return hand_in


def renamed(files, name):
    """A solution whose imports call the package by another name; "" for bare names."""
    if name:
        return {path: re.sub(r"\bcodebase\b", name, text) for path, text in files.items()}
    changed = {}
    for path, text in files.items():
        text = text.replace("from codebase import utils as ut", "import utils as ut")
        changed[path] = re.sub(r"from codebase\.", "from ", text)
    return changed


def said(verdict):
    return [r.finding.seen.say("en") for r in verdict.results if r.finding.seen]


# The package's name


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["submission", "src.submission", "src.codebase", "tp_2", ""])
@pytest.mark.parametrize("folder", ["", pytest.param("entrega_ana/", marks=pytest.mark.slow)])
def test_what_the_code_calls_itself_works_whatever_the_folder_is_called(
    hand_in, solutions, name, folder
):
    files = renamed(solutions["classic"], name)
    verdict = hand_in({folder + path: text for path, text in files.items()})
    assert verdict.total == WORTH, said(verdict)


@pytest.mark.parametrize("folder", ["src/submission/", "Ana Pérez/tp/src/submission/"])
def test_a_package_in_a_package(hand_in, solutions, folder):
    files = renamed(solutions["classic"], "src.submission")
    start = folder.partition("src/")[0]
    entries = {folder + path: text for path, text in files.items()}
    entries |= {f"{start}src/__init__.py": "", f"{folder}__init__.py": ""}
    assert hand_in(entries).total == WORTH


def test_every_name_means_the_same_modules(hand_in, solutions):
    """Two names in one submission: the classes that one imports are those of the other."""
    files = dict(solutions["classic"])
    files["models/gmvae.py"] = files["models/gmvae.py"].replace("codebase", "submission")
    files["utils.py"] += (
        "\nimport codebase.models.vae, submission.models.vae, src.submission.utils, sys\n"
        "assert codebase.models.vae is submission.models.vae\n"
        "assert src.submission.utils is sys.modules[__name__]\n"
    )
    assert hand_in(files).total == WORTH


def test_models_without_their_folder_are_imported_as_they_lie(hand_in, solutions):
    files = {path.rpartition("/")[2]: text for path, text in solutions["classic"].items()}
    files["utils.py"] = files["utils.py"].replace("from codebase.models.", "from ")
    verdict = hand_in(files)
    assert verdict.total == WORTH, said(verdict)


def test_a_librarys_utils_is_no_name_of_the_package(hand_in, solutions):
    files = dict(solutions["classic"])
    files["utils.py"] = "from torch.utils.data import DataLoader\n" + files["utils.py"]
    files["utils.py"] += "\nassert DataLoader.__module__.startswith('torch.')\n"
    assert hand_in(files).total == WORTH


def test_a_comment_in_another_encoding_costs_nothing_and_is_told(hand_in, solutions):
    text = (solutions["classic"]["utils.py"] + "\n# distribución\n").encode("latin-1")
    try:
        compile(text, "utils.py", "exec")
    except SyntaxError:
        pytest.skip("this Python's imports read comments too")
    verdict = hand_in(solutions["classic"] | {"utils.py": text})
    assert verdict.total == WORTH, said(verdict)
    assert verdict.foreign == ["codebase/utils.py"]
    (line,) = report.losses(verdict, "es")
    assert "`codebase/utils.py`; hay que guardarlo como UTF-8" in line


def test_a_name_in_another_encoding_is_no_text_once(hand_in, solutions):
    """As its import has it: no file that Python reads."""
    text = solutions["classic"]["models/vae.py"] + "\ndistribución = 1\n"
    verdict = hand_in(solutions["classic"] | {"models/vae.py": text.encode("latin-1")})
    assert verdict.foreign == []
    assert {r.finding.seen.key for r in verdict.results if r.item == "1.2"} == {"not_text"}


# Gaps and their stand-ins


GAPS = [gap for n in range(5) for gap in itertools.combinations(GRADED, n)]
STARTERS = {
    "__init__.py": "from .utils import *\nfrom .train import train\n",
    "models/__init__.py": "",
    "train.py": (
        "import torch\nfrom NAME import utils as ut\n\n\ndef train(model, loader, *rest):\n"
        "    ut.reset_weights(model)\n"
    ),
}


def owed(gap):
    """Points of what is there, by item."""
    points = dict(ITEMS)
    if "utils.py" in gap:
        points["1.1"], points["2.1"] = 0, 9
    for path, item, worth in (
        ("models/vae.py", "1.2", 9), ("models/gmvae.py", "2.1", 9), ("models/ssvae.py", "3.2", 21)
    ):  # fmt: skip
        points[item] -= worth if path in gap else 0
    return points


def handed(solution, name, starters, gap, how):
    """A solution under a name, with a gap, with or without the starter's other files."""
    files = {path: text.replace("NAME", name) for path, text in STARTERS.items() if starters}
    files |= renamed(solution, name)
    for path in gap:
        files[path] = "def broken(:\n"
    return {
        f"{name}/{path}": text
        for path, text in files.items()
        if how == "unparsable" or path not in gap
    }


def matrix():
    for name, starters, how in itertools.product(
        ("submission", "codebase"), (True, False), ("missing", "unparsable")
    ):
        for gap in GAPS:
            if len(gap) == (4 if how == "missing" else 0):
                continue  # nothing was handed in then, or nothing is wrong
            # The quick ones: the starter's way, each file alone.
            quick = (name, starters) == ("submission", True) and len(gap) == 1
            marks = [] if quick else [pytest.mark.slow]
            label = "-".join([name, how, "starters" if starters else "alone", *gap])
            yield pytest.param(name, starters, how, gap, id=label, marks=marks)


@pytest.mark.few(2)
@pytest.mark.parametrize(("name", "starters", "how", "gap"), [*matrix()])
def test_a_gap_costs_its_own_item_alone(hand_in, solutions, name, starters, how, gap):
    entries = handed(solutions["classic"], name, starters, gap, how)
    verdict = hand_in(entries, only=None)
    assert {item: verdict.earned(item) for item in ITEMS} == owed(gap), said(verdict)
    # Nobody is blamed for a line that is not the file's own.
    for text in said(verdict):
        for place, line in re.findall(r"([\w./]+\.py):(\d+)", text):
            assert int(line) <= entries[place].count("\n") + 1


@pytest.mark.slow
@pytest.mark.parametrize("base", ["ours", "classic"])
def test_a_broken_ssvae_costs_the_vae_nothing(grade, solutions, base):
    """Though this project's own, which stands in, has classes in common with this project's VAE."""
    for broken in ("def broken(:\n", "import math\n"):
        files = solutions[base] | {"models/ssvae.py": broken}
        assert grade(files, only=("VAE",)).earned("1.2") == 9


# Modules of their own


HELPER = "import torch\n\nHALF = 0.5\n\n\ndef scaled(v):\n    return torch.sqrt(v)\n"


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("place", "statement", "use"),
    [
        ("mathutils.py", "import mathutils", "mathutils.scaled(v)"),
        ("codebase/mathutils.py", "import mathutils", "mathutils.scaled(v)"),
        ("codebase/mathutils.py", "from codebase.mathutils import scaled", "scaled(v)"),
        ("codebase/mathutils.py", "from .mathutils import scaled", "scaled(v)"),
        ("lib/mathutils.py", "from lib.mathutils import scaled", "scaled(v)"),
        ("lib/deep/mathutils.py", "import lib.deep.mathutils as mu", "mu.scaled(v)"),
    ],
)
def test_modules_beside_the_package_are_the_students_too(hand_in, solutions, place, statement, use):
    files = {f"tp/codebase/{path}": text for path, text in solutions["classic"].items()}
    text = files["tp/codebase/utils.py"].replace("torch.sqrt(v)", use)
    files["tp/codebase/utils.py"] = text.replace("import os\n", f"import os\n{statement}\n")
    verdict = hand_in(files | {f"tp/{place}": HELPER}, only=("sample_gaussian", "VAE"))
    assert verdict.total == 18, said(verdict)


def test_a_helper_may_have_helpers_and_use_the_package(hand_in, solutions):
    files = {f"codebase/{path}": text for path, text in solutions["classic"].items()}
    files["codebase/models/vae.py"] = (
        files["codebase/models/vae.py"]
        .replace("from torch import nn\n", "from torch import nn\nfrom lib import half\n")
        .replace("ut.kl_normal(", "2 * half.HALF * ut.kl_normal(")
    )
    files |= {
        "lib/__init__.py": "from .more import HALF as half_\n",
        "lib/half.py": "from . import more\nimport codebase.utils\nHALF = more.HALF\n",
        "lib/more.py": HELPER,
        "lib/unused.py": "raise SystemExit\n",
    }
    assert hand_in(files).total == WORTH


def test_a_module_of_theirs_may_have_the_name_of_one_of_ours(hand_in, solutions):
    files = {f"codebase/{path}": text for path, text in solutions["classic"].items()}
    files["codebase/errors.py"] = files["codebase/graph.py"] = "HALF = 0.5\n"
    files["codebase/utils.py"] += "\nfrom codebase.errors import HALF\nimport graph\nHALF + 1\n"
    assert hand_in(files).total == WORTH


# What no graded function needs


ORDINARY = """
import absent_library
import absent.part as part, absent.other
from absent_plots import colours, Style as S
from torch._gone import removed
from numpy import float_gone
from google.colab import drive
import torchsummary
import matplotlib.pyplot as plt
from torchvision import datasets, transforms
from torch.utils.data import DataLoader
try:
    import absent_too
    HAVE = True
except ImportError:
    HAVE = False
assert not HAVE
drive.mount("/content/drive")
plt.rcParams["font.size"] = 12
plt.style.use("ggplot")
fig, ax = plt.subplots()
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3))
first, *rest = plt.subplots(3)
for axis in plt.subplots(2)[1]:
    axis.plot([1, 2])
with absent_library.init(project="vae") as run:
    run.log({"loss": 0.5})
data = datasets.MNIST("data", train=True, transform=transforms.Compose([transforms.ToTensor()]))
loader = DataLoader(data, batch_size=100, shuffle=True)
print(f"{len(data)} images, {data.mean:.2f}", data.data[:10].float() / 255 > 0.5)
absent_library.config.setdefault("lr", 1e-3)
isinstance(data, datasets.MNIST)


class Callback(absent_library.Callback):
    def __init__(self, name):
        super().__init__(name)


Callback("x")


@absent_library.jit(nopython=True)
def helper(x: S["b d"]) -> colours.Red | None:
    return x


assert helper(3) == 3
"""


def test_imports_that_nothing_graded_needs_cost_nothing(hand_in, solutions):
    files = dict(solutions["classic"])
    files["utils.py"] = f"{ORDINARY}\n{files['utils.py']}"
    verdict = hand_in(files, only=("sample_gaussian", *QUICK))
    assert verdict.total == 9 + WORTH, said(verdict)


@pytest.mark.parametrize(
    ("statement", "use"),
    [
        ("from absent.special import half", "half(x - m) + log_exp"),
        ("import absent as np2", "np2.log(2 * np2.pi) + log_exp"),
        ("from torchvision.ops import total", "torch.sum(total(v), dim=-1)"),
    ],
)
def test_a_graded_function_that_computes_with_one_is_told(hand_in, solutions, statement, use):
    files = dict(solutions["classic"])
    files["utils.py"] = f"{statement}\n" + files["utils.py"].replace(
        "const + log_det + log_exp", use
    )
    verdict = hand_in(files, only=("sample_gaussian", "log_normal"))
    assert verdict.earned("1.1") == 9
    assert verdict.earned("2.1") == 0
    keys = {r.finding.seen.key for r in verdict.results if r.finding.seen}
    assert keys == {"not_here"}


# What is said of their lines


@pytest.mark.parametrize("end", ["\ndef plot():", "\nx = 1 + \\", "\nif True:\n"])
def test_errors_are_of_the_file_as_it_stands(hand_in, solutions, end):
    text = solutions["classic"]["utils.py"] + end
    verdict = hand_in(solutions["classic"] | {"utils.py": text}, only=("log_normal",))
    (line,) = {int(re.search(r"utils\.py:(\d+)", note)[1]) for note in said(verdict)}
    assert line <= text.count("\n") + 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_file_in_another_encoding_is_named(hand_in, solutions, encoding):
    files = {f"codebase/{path}": text for path, text in solutions["classic"].items()}
    files["codebase/models/vae.py"] = files["codebase/models/vae.py"].encode(encoding)
    verdict = hand_in(files)
    assert verdict.earned("1.2") == 0
    (note,) = set(said(verdict))
    assert "codebase/models/vae.py" in note
    assert "UTF-8" in note
    assert "is no Python" not in note


def test_a_declared_encoding_is_read(hand_in, solutions):
    files = dict(solutions["classic"])
    files["utils.py"] = ("# coding: latin-1\nNAME = 'Muñoz'\n" + files["utils.py"]).encode(
        "latin-1"
    )
    assert hand_in(files).total == WORTH


# Code written for a GPU


GPU = {
    "tensors moved": ("torch.randn_like(v)", "torch.randn_like(v).cuda()"),
    "a device by name": ("torch.randn_like(v)", "torch.randn(v.shape, device='cuda')"),
    "a device": (
        "torch.randn_like(v)", "torch.randn(v.shape, device=torch.device('cuda:0')).to('cuda')",
    ),
    "a default device": (
        "import os\n", "import os\nimport torch\ntorch.set_default_device('cuda')\n",
    ),
    "a default type": (
        "import os\n",
        "import os\nimport torch\ntorch.set_default_tensor_type('torch.cuda.FloatTensor')\n",
    ),
    "an assertion": ("import os\n", "import os\nimport torch\nassert torch.cuda.is_available()\n"),
    "a tensor type": ("torch.randn_like(v)", "torch.cuda.FloatTensor(v.shape).normal_()"),
}  # fmt: skip


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "how", [pytest.param(h, marks=[pytest.mark.slow] * (i % 3 > 0)) for i, h in enumerate(GPU)]
)
@pytest.mark.filterwarnings("ignore")
def test_code_for_a_gpu_is_graded_as_if_the_cpu_were_one(hand_in, solutions, how):
    old, new = GPU[how]
    assert old in solutions["classic"]["utils.py"]
    files = solutions["classic"] | {"utils.py": solutions["classic"]["utils.py"].replace(old, new)}
    verdict = hand_in(files, only=("sample_gaussian", *QUICK))
    assert verdict.total == 9 + WORTH, said(verdict)
    assert verdict.gpu


def test_a_model_moved_to_a_gpu(hand_in, solutions):
    files = dict(solutions["classic"])
    files["models/vae.py"] = files["models/vae.py"].replace(
        "        self.z_prior_m =", "        self.enc.cuda()\n        self.to('cuda')\n"
        "        self.z_prior_m =",
    )  # fmt: skip
    verdict = hand_in(files)
    assert (verdict.total, verdict.gpu) == (WORTH, True)


def test_what_only_asks_for_a_gpu_is_not_said_to_need_one(hand_in, solutions):
    """And an error that a GPU would not mend is the code's own."""
    ask = "device = 'cuda' if torch.cuda.is_available() else 'cpu'\n"
    files = dict(solutions["classic"])
    files["utils.py"] = files["utils.py"].replace("bce =", f"{ask}bce =")
    files["models/vae.py"] += "\n\ndef broken(self, x):\n    raise ValueError\n"
    files["models/vae.py"] += "VAE.negative_elbo_bound = broken\n"
    verdict = hand_in(files)
    assert not verdict.gpu
    assert any("ValueError" in note for note in said(verdict))


def test_a_file_lies_where_its_package_does():
    assert Submission("x", "a/b/codebase", {}).place("utils.py") == "a/b/codebase/utils.py"


# What is written at the top of a file


def test_a_guarded_use_of_a_gpu_costs_nothing(hand_in, solutions):
    """Neither for a gap that is worth nothing, nor for a mistake that no GPU would mend."""
    look = "if torch.cuda.is_available():\n    print(torch.cuda.get_device_properties(0).name)\n"
    look += "    torch.cuda.Stream()\n"
    files = dict(solutions["classic"])
    files["utils.py"] += f"\n\n{look}"
    files["models/vae.py"] += "\n\ndef gap(self, x, iw):\n    raise NotImplementedError\n"
    files["models/vae.py"] += "VAE.negative_iwae_bound = gap\n"
    verdict = hand_in(files)
    assert (verdict.total, verdict.gpu) == (WORTH, False), said(verdict)
    files["models/vae.py"] += "\n\ndef broken(self, x):\n    return self.enc(x, x, x)\n"
    files["models/vae.py"] += "VAE.negative_elbo_bound = broken\n"
    verdict = hand_in(files)
    assert not verdict.gpu
    assert not any("NVIDIA" in note for note in said(verdict))


@pytest.mark.parametrize(
    "line",
    [
        "os.makedirs(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'figs'))",
        "os.makedirs('../results', exist_ok=True)",
        "open('codebase/notes.txt', 'w').write('begun')",
    ],
)
def test_what_is_written_at_import_costs_nothing(hand_in, solutions, line):
    files = {f"codebase/{path}": text for path, text in solutions["classic"].items()}
    files["codebase/utils.py"] += f"\n\nimport os\n{line}\n"
    assert hand_in(files, only=("log_normal",)).total == 6


def test_a_model_s_file_that_hangs_costs_its_own_item_alone(launcher, solutions):
    files = dict(solutions["classic"])
    files["models/ssvae.py"] += "\n\nimport time\nwhile True:\n    time.sleep(1)\n"
    files["utils.py"] = "from codebase.models.ssvae import SSVAE\n" + files["utils.py"]
    files = {path: text.encode() for path, text in files.items()}
    limits, only = sandbox.Limits(4.0), ("log_normal", "VAE", "SSVAE")
    verdict = judge(Submission("x", "codebase", files), launcher, limits, 0, only)
    assert (verdict.total, verdict.earned("3.2")) == (WORTH, 0), said(verdict)


def test_a_wrong_function_of_the_starter_s_is_charged_where_it_spoils_something(grade, solutions):
    """Another mistake, in a model that has nothing to do with it, forgives it not."""
    files = dict(solutions["classic"])
    files["utils.py"] += (
        "\n\ndef kl_cat(q, log_q, log_p):\n    return (q * (log_q - log_p)).mean(-1)\n"
    )
    alone = grade(files, only=("given", "VAE", "SSVAE"))
    assert alone.earned("3.2") == 21 - 4
    body = files["models/vae.py"]
    assert body.count("return nelbo, kl, rec") == 1
    files["models/vae.py"] = body.replace(
        "return nelbo, kl, rec", "return nelbo, kl.item(), rec.item()"
    )
    both = grade(files, only=("given", "VAE", "SSVAE"))
    assert (both.earned("1.2"), both.earned("3.2")) == (8, 21 - 4)


def test_networks_of_other_names_are_said_in_a_sentence(grade, solutions):
    files = dict(solutions["classic"])
    files["models/vae.py"] = files["models/vae.py"].replace("self.enc", "self.encoder")
    verdict = grade(files, only=("VAE",))
    assert any("looked for as enc, dec and cls" in note for note in said(verdict))
    (gradient,) = (r for r in verdict.results if r.check.name == "VAE.gradient")
    assert not gradient.finding.passed


def test_a_newer_python_is_named_where_it_may_be_what_is_missing(grade, solutions):
    files = dict(solutions["classic"])
    files["models/vae.py"] += "\n\nmatch = = 3\n"
    assert any("is no Python 3." in note for note in said(grade(files, only=("VAE",))))


def test_a_classifier_that_loses_a_batch_of_one_loses_the_minibatch_s_points_alone(
    grade, solutions
):
    files = dict(solutions["classic"])
    assert "self.cls.classify(x)" in files["models/ssvae.py"]
    files["models/ssvae.py"] = files["models/ssvae.py"].replace(
        "self.cls.classify(x)", "self.cls.classify(x).squeeze()"
    )
    verdict = grade(files, only=("SSVAE",))
    lost = [r.check.name for r in verdict.results if r.check.points and not r.finding.passed]
    assert lost == ["SSVAE.minibatch"]
