"""Files nobody would write, by the thousand: read well or refused in one clear sentence."""

import io
import json
from functools import partial

import broken
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_data import write_idx
from tqdm import tqdm

from codebase.catalogue import Entry
from codebase.data import datasets
from codebase.data.batches import Batches, seeded_generator
from codebase.data.stream import Stream
from codebase.engine import resume
from codebase.engine.step import Step
from codebase.errors import UserError
from codebase.evaluation.summary import numbers
from codebase.files import checkpoints
from codebase.models.adapter import adapted
from codebase.runs import run as run_module
from codebase.runs.flags import parser_of
from codebase.runs.run import Run
from codebase.runs.settings import settings_of
from codebase.train import loop

SHORT, LONG = 100, 10_000
FORMS = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.slow)]


def fuzz(strategy, examples, trial, capsys):
    """Tries so many inputs; trial(input) says whether it was read, and nothing may escape it.

    Fails if a UserError is not one sentence that names a file.
    """
    tried = {"read": 0, "refused": 0}

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def attempt(content):
        try:
            trial(content)
            tried["read"] += 1
        except UserError as error:
            message = str(error)
            assert "\n" not in message
            assert any(part in message for part in (".pt", ".json", "-ubyte", "The run "))
            tried["refused"] += 1

    attempt()
    assert tried["refused"] > examples / 4
    if examples == LONG:
        with capsys.disabled():
            print(f"\n{sum(tried.values()):,} inputs: {tried}")


class Small(torch.nn.Module):
    """As a model, but tiny, so that faults meet the structure of its files, not its numbers."""

    def __init__(self, name="small", pixels=2):
        super().__init__()
        self.name = name
        self.a = torch.nn.Linear(pixels, 1)
        self.b = torch.nn.Parameter(torch.ones(1), requires_grad=False)

    def loss(self, x):
        loss = self.a(x).square().mean()
        return loss, {"train/loss": loss}


class Wide(Small):
    """The same for images."""

    def __init__(self, name):
        super().__init__(name, pixels=784)


def training():
    """A step of a model, after three of them."""
    torch.manual_seed(0)
    x = torch.tensor([[0, 255]] * 5, dtype=torch.uint8)
    stream = Stream(Batches(x, torch.arange(5), 2, seeded_generator(0)), None, "cpu")
    step = Step(adapted(Small()), stream)
    for _ in range(3):
        step()
    return step


def packed(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def formats(content):
    """torch's two file formats."""
    return [packed(content), packed(content, _use_new_zipfile_serialization=False)]


def files_like(good):
    """Any bytes; spoiled files; spoiled ones whose checksums hold; good ones of other content."""
    several = formats(good)
    return st.one_of(
        st.binary(max_size=300),
        broken.spoiled(several),
        broken.repacked(several[:1]),
        broken.other_values(good, VALUES).map(packed),
    )


TENSORS = st.sampled_from(
    [
        torch.zeros(0),
        torch.zeros(2, dtype=torch.int64),
        torch.full((1, 2), torch.inf),
        torch.full((1,), 1e300, dtype=torch.float64),
        torch.zeros(1, 2, dtype=torch.complex64),
        torch.zeros(1, 2).to_sparse(),
        torch.zeros(1, 2, device="meta"),
        torch.zeros(5056, dtype=torch.uint8),
        torch.tensor([4, 3, 2, 1, 9]),
    ]
)
VALUES = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=3), st.just([]), st.just({}), TENSORS
)


@pytest.mark.parametrize("examples", FORMS)
def test_checkpoints(examples, here, capsys):
    model, path = Small(), here / "x.pt"
    before = {k: v.clone() for k, v in model.state_dict().items()}
    good = {k: v + 1 for k, v in before.items()}

    def trial(content):
        path.write_bytes(content)
        try:
            checkpoints.load_weights(model, path)
        except UserError:
            assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
            raise
        assert all(torch.isfinite(v).all() for v in model.state_dict().values())
        model.load_state_dict(before)

    fuzz(files_like(good), examples, trial, capsys)


@pytest.mark.parametrize("examples", FORMS)
def test_resume_states(examples, here, capsys):
    path = here / "resume.pt"
    step = training()
    (moments,) = step.moments()
    resume.save(path, 3, step.model, moments, step.stream, [step.model.name], 1.5)
    good = torch.load(path, weights_only=True)

    def trial(content):
        path.write_bytes(content)
        iteration, *_ = resume.restore(path, step)
        assert iteration >= 0
        for _ in range(3):  # what was read can be gone on from
            step()
        assert step.tags == ["train/loss"]

    fuzz(files_like(good), examples, trial, capsys)


@pytest.mark.parametrize("examples", FORMS)
def test_idx_files(examples, here, capsys, monkeypatch):
    monkeypatch.setattr(
        datasets, "IDX_FILES", {k: (5, *shape[1:]) for k, shape in datasets.IDX_FILES.items()}
    )
    monkeypatch.setattr(datasets.known, "check", lambda *_: None)
    raw = here / "MNIST" / "raw"
    write_idx(raw, labels=9)
    good = {name: (raw / name).read_bytes() for name in datasets.IDX_FILES}

    def trial(spoiled):
        name, content = spoiled
        for other, whole in good.items():
            (raw / other).write_bytes(content if other == name else whole)
        dataset = datasets.load("mnist", here)
        assert dataset.train_x.shape == dataset.test_x.shape == (5, 784)
        for labels in (dataset.train_y, dataset.test_y):
            assert labels.shape == (5,)
            assert labels.min() >= 0
            assert labels.max() <= 9

    def contents(name):
        spoiled = st.binary(max_size=100) | broken.spoiled([good[name]])
        # Wrong numbers in a file of the right length.
        header = len(good[name]) - 5 * (784 if "images" in name else 1)
        changed = st.binary(min_size=header, max_size=header).map(
            lambda start: start + good[name][header:]
        )
        return st.tuples(st.just(name), spoiled | changed)

    fuzz(st.one_of([contents(name) for name in good]), examples, trial, capsys)


def spoiled_json(good):
    """Spoiled text, and JSON that is not what it should be."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    nests = st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    )
    text = json.dumps(good).encode()
    deep = st.integers(10_000, 100_000).map(lambda n: b"[" * n)
    return st.one_of(
        st.binary(max_size=100),
        broken.spoiled([text]),
        broken.other_values(good, nests).map(lambda value: json.dumps(value).encode()),
        st.binary(max_size=3).map(lambda tail: text + tail),
        deep,
    )


@pytest.fixture
def opened(here, monkeypatch):
    """Opens a run on five images and trains it for an iteration, if that was not done yet."""
    x = torch.zeros(5, 784, dtype=torch.uint8)
    five = datasets.Dataset("digits", x, torch.arange(5), x, torch.arange(5))
    monkeypatch.setattr(datasets, "load", lambda *_: five)
    monkeypatch.setattr(run_module, "versions", dict)
    entry = Entry("vae", "", "", "", "test_fuzz:Wide", "likelihood", 10, ())
    p = parser_of(entry)
    settings = settings_of(entry, p, p.parse_args(["--iter_max", "1", "--threads", "1"]))

    def run():
        with Run(settings) as opened:
            loop(opened.session(opened.build()), partial(tqdm, disable=True), 1)
        return opened

    return run


@pytest.mark.parametrize("examples", FORMS)
def test_flags_json(examples, opened, capsys):
    run = opened()
    path = run.folder.path / "flags.json"
    good = json.loads(path.read_text())

    def trial(content):
        path.write_bytes(content)
        opened()
        assert json.loads(path.read_text()) == good

    fuzz(spoiled_json(good), examples, trial, capsys)


@pytest.mark.parametrize("examples", FORMS)
def test_results_json(examples, here, capsys):
    path = here / "results.json"
    number = {"value": 99.5, "se": 0.5}
    good = {"run": "model=vae", "numbers": {"subset": {"nelbo": number, "kl": number}}}

    def trial(content):
        path.write_bytes(content)
        for group in numbers(path).values():
            assert all(isinstance(n.value, float) for n in group.values())

    fuzz(spoiled_json(good), examples, trial, capsys)
