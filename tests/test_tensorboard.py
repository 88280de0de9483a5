"""A real TensorBoard server over real runs: every dashboard has its data."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest
from PIL import Image

VAE, SSVAE, CLASSIFIER = (
    "model=vae_z=02_run=0000_data=digits",
    "model=ssvae_gw=001_cw=100_run=0001_data=digits",
    "model=ssvae_gw=000_cw=100_run=0000_data=digits",
)
pytestmark = pytest.mark.xdist_group("tensorboard")  # one server
FLAGS = "--dataset", "digits", "--iter_max", 20, "--iter_save", 10, "--threads", 1


class Server:
    """TensorBoard's HTTP interface, as its pages use it."""

    def __init__(self, url):
        self.url = url

    def bytes(self, path, content=None, **query):
        url = f"{self.url}/data/plugin/{path}?{urllib.parse.urlencode(query)}"
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def __call__(self, path, content=None, **query):
        return json.loads(self.bytes(path, content, **query))


@pytest.fixture(scope="module")
def server(tmp_path_factory, nursery):
    """TensorBoard over a VAE, a whole SSVAE and a classifier alone."""
    folder = tmp_path_factory.mktemp("board")
    for script, *flags in (
        ("run_vae.py", "--z", 2),
        ("run_ssvae.py", "--run", 1),
        ("run_ssvae.py", "-gw", 0),
    ):
        done = nursery.run(script, *flags, *FLAGS, cwd=folder)
        assert done.status == 0, done.err
    with tensorboard(folder / "logs") as url:
        yield Server(url)


@contextlib.contextmanager
def tensorboard(logs):
    """A server over these logs, once it has read them."""
    said = logs.parent / "tensorboard.txt"
    with said.open("w") as stream:
        command = [sys.executable, "-W", "ignore", "-m", "tensorboard.main", "--logdir", str(logs)]
        command += ["--port", "0", "--host", "127.0.0.1", "--load_fast", "false"]
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
    try:
        deadline, url = time.monotonic() + 300, None
        while True:
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            words = said.read_text().split()
            url = url or next((w for w in words if w.startswith("http://127.0.0.1:")), None)
            if url and _has_read(Server(url.rstrip("/")), len(list(logs.iterdir()))):
                break
            time.sleep(0.2)
        yield url.rstrip("/")
    finally:
        process.terminate()
        process.wait(30)


def _has_read(server, runs):
    """Whether the last thing written of every run, its final numbers, is there."""
    try:
        tags = server("scalars/tags")
    except OSError:  # it is starting
        return False
    return len(tags) == runs and all(any("final_" in t for t in run) for run in tags.values())


def test_scalars(server):
    tags = server("scalars/tags")
    assert set(tags) == {VAE, SSVAE, CLASSIFIER}
    bound = {"test/nelbo", "test/rec", "gen/elbo", "gen/kl_z", "gen/rec"}
    assert bound | {"test/kl", "final_subset/nelbo", "final_test/nelbo"} <= tags[VAE].keys()
    assert bound | {"test/kl_z", "test/kl_y", "final_test/accuracy"} <= tags[SSVAE].keys()
    assert not [t for t in tags[CLASSIFIER] if t.startswith("gen/")]
    points = server("scalars/scalars", run=VAE, tag="test/nelbo")
    assert [step for _, step, _ in points] == [10, 20]
    # A checkpoint's is the test subset's; that of all test images is another number.
    final = server("scalars/scalars", run=VAE, tag="final_subset/nelbo")
    assert points[-1][2] == pytest.approx(final[0][2], rel=1e-6)


def test_images(server):
    found = server("images/tags")
    assert set(found[VAE]) == {"samples", "reconstructions"}
    assert set(found[SSVAE]) == {"class_conditional"}
    shown = server("images/images", run=VAE, tag="samples", sample=0)
    assert [image["step"] for image in shown] == [10, 20]
    query = dict(urllib.parse.parse_qsl(shown[-1]["query"]))
    assert server.bytes("images/individualImage", **query)[:4] == b"\x89PNG"


@pytest.mark.parametrize(("run", "z"), [(VAE, 2), (SSVAE, 64)])
def test_projector(server, tmp_path, run, z):
    assert set(server("projector/runs")) == {VAE, SSVAE}
    (embedding,) = server("projector/info", run=run)["embeddings"]
    name = embedding["tensorName"]
    assert name == "posterior_mean:00020"
    rows = server.bytes("projector/tensor", run=run, name=name, num_rows=10_000)
    assert len(rows) == 450 * z * 4  # float32
    labels = server.bytes("projector/metadata", run=run, name=name, num_rows=10_000).split()
    assert len(labels) == 450
    assert set(labels) == {b"%d" % digit for digit in range(10)}
    (tmp_path / "sprite.png").write_bytes(
        server.bytes("projector/sprite_image", run=run, name=name)
    )
    sprite = Image.open(tmp_path / "sprite.png").convert("L")
    assert sprite.size == (22 * 28, 22 * 28)  # 450 in a square
    assert sprite.crop((28, 0, 56, 28)).getextrema()[0] < 100 < 200 < sprite.getextrema()[1]


def test_hyperparameters_of_all_models_sort_all_runs(server):
    experiment = server("hparams/experiment", {"experimentName": ""})
    flags = {info["name"] for info in experiment["hparamInfos"]}
    assert {"model", "z", "beta", "gw", "cw", "lr", "seed", "iter_max"} <= flags
    metrics = [info["name"]["tag"] for info in experiment["metricInfos"]]
    assert {"final_subset/nelbo", "final_test/nelbo", "final_test/accuracy"} <= set(metrics)
    for metric, runs in (("final_subset/nelbo", {VAE, SSVAE}), ("final_test/accuracy", {SSVAE})):
        place = metrics.index(metric)
        wanted = {
            "experimentName": "",
            "startIndex": 0,
            "sliceSize": 10,
            "allowedStatuses": ["STATUS_SUCCESS", "STATUS_RUNNING", "STATUS_UNKNOWN"],
            "colParams": [
                {"metric": e["name"], **({"order": "ORDER_ASC"} if i == place else {})}
                for i, e in enumerate(experiment["metricInfos"])
            ],
        }
        groups = server("hparams/session_groups", wanted)["sessionGroups"]
        assert len(groups) == 3
        values = {}
        for group in groups:
            (session,) = group["sessions"]
            assert group["hparams"]["model"] in ("vae", "ssvae")
            for value in session["metricValues"]:
                if value["name"]["tag"] == metric:
                    values[session["name"]] = value["value"]
        assert runs <= values.keys()
        assert list(values.values()) == sorted(values.values())


def test_custom_scalars_put_the_bound_and_its_parts_together(server):
    sections = server("custom_scalars/layout")["category"]
    charts = {
        section["title"]: [(c["title"], c["multiline"]["tag"]) for c in section["chart"]]
        for section in sections
    }
    assert {title: len(c) for title, c in charts.items()} == {"Bound, in nats": 2, "Classifier": 1}
    for run, parts in ((VAE, ["kl", "rec"]), (SSVAE, ["kl_z", "kl_y", "rec"])):
        _, (tag,) = charts["Bound, in nats"][0]
        found = server("custom_scalars/scalars", run=run, tag=tag)["tag_to_events"]
        assert set(found) == {"test/nelbo", *(f"test/{part}" for part in parts)}
        for place in (0, 1):
            sum_of_parts = sum(found[f"test/{part}"][place][2] for part in parts)
            assert found["test/nelbo"][place][2] == pytest.approx(sum_of_parts, rel=1e-5)
        _, (tag,) = charts["Bound, in nats"][1]
        found = server("custom_scalars/scalars", run=run, tag=tag)["tag_to_events"]
        assert len(found["gen/elbo"]) == 2
    (_, (tag,)) = charts["Classifier"][0]
    found = server("custom_scalars/scalars", run=CLASSIFIER, tag=tag)["tag_to_events"]
    assert set(found) == {"class/acc", "test/accuracy"}
