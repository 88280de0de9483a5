"""The explorer's page, in a real browser."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from throwaway import FullVAE, GreyVAE
from torch import nn

from codebase import explorer
from codebase import utils as ut
from codebase.catalogue import CATALOGUE
from codebase.data import subsets
from codebase.data.batches import grey
from codebase.errors import UserError
from codebase.evaluation.codes import posterior_of
from codebase.explorer.networks import FUNCTIONS
from codebase.figures import style
from codebase.files import checkpoints, disk
from codebase.models.cvae import CVAE
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.runs.saved import SavedRun

MODELS = {
    "vae": lambda: VAE(z_dim=2),
    "vae_of_12": lambda: VAE(z_dim=12),
    "gmvae": lambda: GMVAE(z_dim=3, k=40),
    "ssvae": lambda: SSVAE(),
    "full": lambda: FullVAE(z_dim=3),
    "grey": lambda: GreyVAE(z_dim=2),
}


@torch.no_grad()
def lively(model):
    """The model with weights that make images differ, as training does."""
    for net in model.networks().values():
        for layer in net:
            if isinstance(layer, torch.nn.Linear):
                layer.weight.mul_(2.5)
    return model


def opened(model, folder=None, step=1):
    """The model as `open_run` gives it."""
    kind = type(model).__name__.lower()
    return SavedRun(folder, model.eval(), step, "digits", kind=kind)


@pytest.fixture(scope="module")
def pages(tmp_path_factory, digits):
    """{kind: (model, file)} of every kind of model."""
    torch.manual_seed(0)
    found = {}
    for kind, make in MODELS.items():
        model = lively(make())
        model.name = f"model={kind}"
        file = tmp_path_factory.mktemp(kind) / "explore.html"
        file.write_text(explorer.page(opened(model, step=1234), digits), encoding="utf-8")
        found[kind] = model, file
    return found


def show(browser, pages, kind, **window):
    model, file = pages[kind]
    browser.open(file.as_uri(), **window)
    return model


def canvas(browser, name):
    """Ink in [0, 1] of a 28 × 28 canvas, (784,)."""
    data = browser.js(
        f"Array.from(document.getElementById('{name}').getContext('2d')"
        ".getImageData(0, 0, 28, 28).data).filter((_, i) => i % 4 === 0)"
    )
    return 1 - torch.tensor(data) / 255


def state(browser):
    z, y = browser.js("[Array.from(state.z), state.y]")
    return torch.tensor(z, dtype=torch.float32), y


def labels(model, y):
    """What the model's nets take beside an image or a latent, for a label."""
    return (torch.eye(10)[y].unsqueeze(0),) if model.y_dim else ()


@torch.no_grad()
def drawn(model, z, y):
    """Mean pixels as a canvas can show them."""
    return model.likelihood(z.unsqueeze(0), *labels(model, y)).mean[0].clamp(0, 1)


def mass_centre(x):
    """(across, down) of an image's ink, in pixels."""
    x = x.view(28, 28)
    places = torch.arange(28) + 0.5
    return (x.sum(0) @ places / x.sum()).item(), (x.sum(1) @ places / x.sum()).item()


# The arithmetic


def test_every_float16_is_read_right(browser, pages):
    show(browser, pages, "vae")
    bits = np.arange(1 << 16, dtype=np.uint16)
    expected = bits.view(np.float16).astype(float)
    finite = np.isfinite(expected)  # no others are written
    values = browser.js("Array.from(HALF, (v) => Number.isFinite(v) ? v : null)")
    found = np.array([v for v, f in zip(values, finite, strict=True) if f])
    assert np.array_equal(found, expected[finite])


@pytest.mark.parametrize("kind", MODELS)
@torch.no_grad()
def test_the_page_computes_what_pytorch_does(browser, pages, digits, kind):
    """100 latents and images. Rounding to float16 may cost 0.01 in probability, and no more."""
    model = show(browser, pages, kind)
    torch.manual_seed(1)
    z = model.sample_z(100)
    x = grey(digits.test_x[:100])
    y = torch.arange(100) % 10 if model.y_dim else None
    given = [z.tolist(), x.tolist(), [None] * 100 if y is None else y.tolist()]
    browser.js(f"globalThis.given = {json.dumps(given)}; 0")
    found = browser.js(
        "given[0].map((z, i) => [given[1][i], given[2][i], z])"
        ".map(([x, y, z]) => ({p: nets.decode(z, y), z: nets.encode(x, y),"
        " q: nets.classify ? nets.classify(x) : []}))"
        ".map((row) => Object.fromEntries(Object.entries(row).map(([k, v]) => [k, Array.from(v)])))"
    )
    page = {name: torch.tensor([row[name] for row in found]) for name in found[0]}

    def truth():
        label = () if y is None else (torch.eye(10)[y],)
        q = model.label_posterior(x).probs if label else torch.zeros(100, 0)
        means = model.posterior(x, *label).mean, model.likelihood(z, *label).mean
        return dict(zip("zpq", (*means, q), strict=True))

    exact = truth()
    assert exact["p"].std() > 0.1  # not all one half
    for name in ("p", "q"):
        torch.testing.assert_close(page[name], exact[name], rtol=0, atol=1e-2)
    torch.testing.assert_close(page["z"], exact["z"], rtol=1e-2, atol=1e-2)

    # And against PyTorch with the same rounded weights: nothing but the order of sums differs.
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    for p in model.parameters():
        p.copy_(p.half().float())
    rounded = truth()
    model.load_state_dict(kept)
    for name, value in page.items():
        torch.testing.assert_close(value, rounded[name], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_what_the_page_says_of_the_latents(digits):
    torch.manual_seed(0)
    x = subsets.binarized_test(digits)
    vae = lively(VAE(z_dim=5))
    found = explorer.content(opened(vae), digits)
    m, v = vae.enc(x)
    # The bound's own kl, part by part, largest first.
    assert sum(found["kl"]) == pytest.approx(
        ut.kl_normal(m, v, *vae.z_prior).mean().item(), rel=1e-5
    )
    assert found["order"] == sorted(range(5), key=lambda d: -found["kl"][d])
    assert (found["prior_m"], found["prior_s"]) == ([0] * 5, [1] * 5)

    mixture = lively(GMVAE(z_dim=2, k=6))
    found = explorer.content(opened(mixture), digits)
    draws = mixture.sample_z(100_000)
    for moment, ours in ((draws.mean(0), found["prior_m"]), (draws.std(0), found["prior_s"])):
        torch.testing.assert_close(torch.tensor(ours), moment, rtol=0, atol=6 * 1.5 / 100_000**0.5)
    z, _ = mixture.enc(x)
    m, v = (t[0] for t in mixture.z_prior)
    density = torch.stack([ut.log_normal(z, m[k], v[k]) for k in range(6)], dim=1)
    counts = torch.bincount(density.argmax(1), minlength=6)
    parts = found["components"]
    assert parts["share"] == sorted(parts["share"], reverse=True)
    for k, share, digit, purity in zip(
        *(parts[name] for name in ("index", "share", "digit", "purity")), strict=True
    ):
        assert share == pytest.approx(counts[k].item() / 450)
        ours = digits.test_y[density.argmax(1) == k]
        assert purity == pytest.approx((ours == digit).float().mean().item(), rel=1e-6)
        assert purity == pytest.approx(ours.bincount().max().item() / len(ours), rel=1e-6)


def test_posteriors_are_at_the_likeliest_label(digits):
    torch.manual_seed(0)
    model = lively(SSVAE(z_dim=3))
    x = subsets.binarized_test(digits)
    q = posterior_of(model, x)
    for i in (0, 100, 449):
        y = model.cls(x[i]).argmax().item()
        m, v = model.enc(x[i : i + 1], *labels(model, y))
        torch.testing.assert_close(q.mean[i], m[0])
        torch.testing.assert_close(q.variance[i], v[0])


def test_a_weight_that_float16_cannot_hold_is_refused(digits):
    model = VAE(z_dim=2)
    model.dec.net[0].bias.data[0] = 1e6
    with pytest.raises(UserError, match="beyond 65,504"):
        explorer.page(opened(model), digits)


def test_the_page_knows_every_function_that_is_written(browser, pages):
    show(browser, pages, "vae")
    assert set(browser.js("Object.keys(FUNCTIONS)")) == {f.__name__.lower() for f in FUNCTIONS}
    h = torch.linspace(-6, 6, 41)
    for layer in FUNCTIONS:
        made = layer(-1) if layer is nn.Softmax else layer()
        page = browser.js(
            f"Array.from(FUNCTIONS.{layer.__name__.lower()}(Float32Array.from({h.tolist()})))"
        )
        torch.testing.assert_close(torch.tensor(page), made(h), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(FUNCTIONS[layer](h), made(h))


class Odd(GreyVAE):
    """One that declares a network of its own choosing."""

    def __init__(self, **changed):
        super().__init__("odd")
        self.changed = changed

    def networks(self):
        return {role: net for role, net in (super().networks() | self.changed).items() if net}


def leaky(net):
    return nn.Sequential(*net[:3], nn.LeakyReLU(), net[4])


def steep(net):
    """Itself changed, to what the page takes for the usual ELU."""
    net[1].alpha = 2.0
    return net


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (lambda m: {"encoder": None}, "needs the encoder of odd as an MLP"),
        (lambda m: {"decoder": nn.Sequential(*m.dec.net, nn.Sigmoid())}, "the decoder .* not give"),
        (lambda m: {"decoder": m.enc.net}, "the decoder .* not give"),
        (lambda m: {"encoder": m.enc.net[:3]}, "the encoder .* not give"),
        (lambda m: {"encoder": steep(m.enc.net)}, "the encoder .* not give"),
        (lambda m: {"encoder": leaky(m.enc.net)}, "does not compute a LeakyReLU"),
    ],
)
def test_a_net_that_is_not_the_model_s_is_refused_in_a_sentence(digits, changed, complaint):
    torch.manual_seed(0)
    model = Odd()
    explorer.page(opened(model), digits)
    model.changed = changed(model)
    with pytest.raises(UserError, match=complaint) as error:
        explorer.page(opened(model), digits)
    assert str(error.value).count(". ") == 0


# The page


@pytest.mark.parametrize(
    ("kind", "window"),
    [
        *((kind, "desktop") for kind in MODELS),
        ("vae", "phone"),
        ("ssvae", "phone"),
        ("vae", "dark"),
    ],
)
def test_it_opens_alone_and_without_complaint(browser, pages, kind, window):
    options = {"phone": {"width": 390, "height": 844, "phone": True}, "dark": {"dark": True}}
    model = show(browser, pages, kind, **options.get(window, {}))
    assert pages[kind][1].stat().st_size < 3_000_000
    assert browser.requests == [pages[kind][1].as_uri()]
    assert browser.complaints == []
    assert browser.js("document.documentElement.scrollWidth <= innerWidth")
    z, y = state(browser)
    torch.testing.assert_close(canvas(browser, "drawn"), drawn(model, z, y), rtol=0, atol=0.01)
    paper, ink = browser.js(
        "(({backgroundColor, color}) => [backgroundColor, color].map((c) => c.match(/\\d+/g)"
        ".slice(0, 3).reduce((sum, v) => sum + Number(v), 0)))(getComputedStyle(document.body))"
    )
    assert (paper < ink) == (window == "dark")


@pytest.mark.parametrize("kind", MODELS)
def test_everything_is_named_and_reached_by_keyboard(browser, pages, kind):
    show(browser, pages, kind)
    tree = browser.send("Accessibility.getFullAXTree")["nodes"]
    roles = "button", "slider", "radio", "combobox", "image", "application", "table"
    named = [n for n in tree if not n["ignored"] and n["role"]["value"] in roles]
    assert len(named) > 20
    assert not [n for n in named if not n.get("name", {}).get("value")]

    reached = set()
    for _ in range(80):
        browser.press("Tab")
        where, outline = browser.js(
            "[document.activeElement.id || document.activeElement.tagName, "
            "getComputedStyle(document.activeElement.closest('#labels label') ||"
            " document.activeElement).outlineStyle]"
        )
        if where == "BODY":
            break
        assert outline != "none", f"the focus on {where} is not seen"
        reached.add(where)
    wanted = {"plane", "sample", "middle", "clear", "file", "slider-0", "slider-1", "BUTTON"}
    two = {"vae": set(), "grey": set()}  # dimensions, and no others to choose
    wanted |= (two | {"gmvae": {"component"}, "ssvae": {"INPUT"}}).get(kind, {"across", "up"})
    if kind in ("ssvae", "vae_of_12"):
        wanted -= {"slider-0", "slider-1"}  # perhaps among those folded away
    assert wanted <= reached


@pytest.mark.parametrize("hand", ["mouse", "touch"])
def test_dragging_over_the_plane_draws_what_is_there(browser, pages, hand):
    phone = {"width": 390, "height": 844, "phone": True} if hand == "touch" else {}
    model = show(browser, pages, "vae", **phone)
    x, y = browser.centre("#plane")
    width = browser.js("document.getElementById('plane').getBoundingClientRect().width")
    unit = width / 7  # of the prior's standard deviation, in pixels: the plane shows ±3.5
    path = [(x, y), (x + unit / 2, y), (x + unit, y - 2 * unit)]
    (browser.drag if hand == "mouse" else browser.touch)(path)
    z, _ = state(browser)
    torch.testing.assert_close(z, torch.tensor([1.0, 2.0]), rtol=0, atol=2 / unit)
    torch.testing.assert_close(canvas(browser, "drawn"), drawn(model, z, None), rtol=0, atol=0.01)
    shown = browser.js("Array.from(document.querySelectorAll('.slider'), (s) => s.textContent)")
    assert any(text.startswith("z[0]") and text.endswith(f"{z[0]:.2f}") for text in shown)
    assert browser.complaints == []


def test_arrow_keys_move_the_plane_and_the_sliders(browser, pages):
    show(browser, pages, "vae")
    browser.js("document.getElementById('plane').focus()")
    for key, shift, expected in [
        ("ArrowRight", False, [0.1, 0.0]),
        ("ArrowUp", True, [0.1, 0.5]),
        ("ArrowLeft", True, [-0.4, 0.5]),
        ("ArrowDown", False, [-0.4, 0.4]),
        ("Home", False, [0.0, 0.0]),
    ]:
        browser.press(key, shift=shift)
        assert state(browser)[0].tolist() == pytest.approx(expected, abs=1e-6)
    browser.frames()
    label = browser.js("document.getElementById('plane').getAttribute('aria-label')")
    assert label == "Latent plane, z[0] 0.00, z[1] 0.00"
    browser.js("document.getElementById('slider-1').focus()")
    browser.press("ArrowRight")
    assert state(browser)[0].tolist() == pytest.approx([0, 0.05], abs=1e-6)


def test_the_plane_of_two_other_dimensions(browser, pages):
    show(browser, pages, "vae_of_12")
    order = browser.js("content.order")
    assert browser.js("[across.value, up.value].map(Number)") == order[:2]
    browser.js("across.value = content.order[5]; across.dispatchEvent(new Event('change'))")
    x, y = browser.centre("#plane")
    browser.drag([(x, y), (x + 20, y)])
    z, _ = state(browser)
    assert [i for i, v in enumerate(z.tolist()) if abs(v) > 0.1] == [order[5]]


def test_a_digit_and_a_component_are_chosen(browser, pages):
    model = show(browser, pages, "ssvae")
    before = canvas(browser, "drawn")
    browser.js("document.querySelector('#labels input[value=\"7\"]').click()")
    browser.frames()
    z, y = state(browser)
    assert y == 7
    torch.testing.assert_close(canvas(browser, "drawn"), drawn(model, z, 7), rtol=0, atol=0.01)
    assert (canvas(browser, "drawn") - before).abs().max() > 0.05

    model = show(browser, pages, "gmvae")
    browser.js("component.value = 1; component.dispatchEvent(new Event('change'))")
    browser.frames()
    z, _ = state(browser)
    k = browser.js("content.components.index[1]")
    torch.testing.assert_close(z, model.z_prior[0][0, k], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(canvas(browser, "drawn"), drawn(model, z, None), rtol=0, atol=0.01)
    browser.js("document.getElementById('sample').click()")
    assert not torch.equal(state(browser)[0], z)


def test_a_component_is_named_only_while_z_is_of_it(browser, pages):
    """Whatever else moves z takes the name away, and what would draw from the component with it."""
    show(browser, pages, "gmvae")
    shown = "[component.value, component.selectedOptions[0].textContent, sample.disabled]"
    x, y = browser.centre("#plane")
    ways = {
        "a test image": lambda: browser.js("document.querySelector('#examples button').click()"),
        "the prior's mean": lambda: browser.js("middle.click()"),
        "the plane": lambda: browser.drag([(x, y), (x + 20, y)]),
        "a slider": lambda: browser.js("sliders[0].input.dispatchEvent(new Event('input'))"),
    }
    for way, go in ways.items():
        browser.js("component.value = 1; component.dispatchEvent(new Event('change'))")
        browser.frames()
        k = browser.js("content.components.index[1]")
        value, text, disabled = browser.js(shown)
        assert (value, disabled) == ("1", False), way
        assert text.startswith(f"k = {k}: "), "as Python counts"
        browser.js("sample.click()")
        browser.frames()
        assert browser.js(shown)[0] == "1", way  # still of the component
        go()
        browser.frames()
        assert browser.js(shown) == ["", "none: z is from elsewhere", True], way
    assert browser.complaints == []


@pytest.mark.parametrize(("kind", "names"), [("vae", [0, 1]), ("vae_of_12", None)])
def test_the_plane_names_its_axes(browser, pages, kind, names):
    show(browser, pages, kind)
    names = names or browser.js("content.order.slice(0, 2)")
    browser.js(
        "globalThis.written = []; CanvasRenderingContext2D.prototype.fillText = "
        "(text) => written.push(text); plane.background = null; plane.draw()"
    )
    assert browser.js("written") == [f"z[{names[0]}] →", f"z[{names[1]}] ↑"]


def test_on_a_phone_the_pad_is_not_under_all_the_sliders(browser, pages):
    show(browser, pages, "vae_of_12", width=390, height=844, phone=True)
    tops = browser.js(
        "[...document.querySelectorAll('.slider'), pad.canvas].map((e) => "
        "e.checkVisibility() ? e.getBoundingClientRect().top : null).filter((y) => y !== null)"
    )
    assert len(tops) == 4
    assert max(tops) == tops[-1] < 844
    assert browser.js("document.querySelector('#sliders summary').textContent").startswith("9 more")
    show(browser, pages, "vae_of_12")
    seen = "[...document.querySelectorAll('.slider')].filter((e) => e.checkVisibility()).length"
    assert browser.js(seen) == 10


def test_the_digits_have_the_figures_colours(browser, pages):
    show(browser, pages, "vae")
    dots = "[...document.querySelectorAll('#legend i')].map((e) => e.style.background)"
    wanted = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in style.DIGITS]
    assert browser.js(dots) == [f"rgb{colour}" for colour in wanted]


def test_samples_come_from_the_prior(browser, pages):
    show(browser, pages, "vae")
    n = 4_000
    z = browser.js(
        f"Array.from({{length: {n}}}, () => {{ sample.click(); return Array.from(state.z); }})"
    )
    z = torch.tensor(z, dtype=torch.float32)
    assert z.mean(0).abs().max() < 6 / n**0.5
    assert (z.var(0) - 1).abs().max() < 6 * (2 / n) ** 0.5


# An image of one's own


@pytest.mark.parametrize("hand", ["mouse", "touch"])
def test_a_drawing_is_placed_encoded_and_classified(browser, pages, hand):
    phone = {"width": 390, "height": 844, "phone": True} if hand == "touch" else {}
    model = show(browser, pages, "ssvae", **phone)
    x, y = browser.centre("#pad")
    path = [(x - 30 + i, y - 40 + 3 * i) for i in range(0, 25, 2)]  # a stroke off the middle
    (browser.drag if hand == "mouse" else browser.touch)(path)
    seen = canvas(browser, "seen")
    assert mass_centre(seen) == pytest.approx((14.5, 14.5), abs=0.2)
    rows = (seen.view(28, 28) > 0.05).any(1).nonzero()[:, 0]
    assert 20 <= rows[-1] - rows[0] + 1 <= 21  # twenty pixels, wherever they fall
    with torch.no_grad():
        q = model.cls(seen).softmax(0)
        label = q.argmax().item()
        m, _ = model.enc(seen.unsqueeze(0), *labels(model, label))
        again = drawn(model, m[0], label)
    bars = browser.js("Array.from(bars.rows, (r) => parseFloat(r.lastChild.textContent) / 100)")
    torch.testing.assert_close(torch.tensor(bars), q, rtol=0, atol=0.02)
    assert f"a {label}, with" in browser.js("verdict.textContent")
    torch.testing.assert_close(canvas(browser, "again"), again, rtol=0, atol=0.03)
    assert state(browser)[1] == label  # the explorer goes on from there
    torch.testing.assert_close(state(browser)[0], m[0], rtol=0.05, atol=0.05)
    assert browser.complaints == []

    browser.js("document.getElementById('clear').click()")
    assert canvas(browser, "seen").max() == 0
    assert "Draw a digit" in browser.js("verdict.textContent")


def file_of(path, pixels):
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def give(browser, path):
    """Chooses a file as a person would in the dialog."""
    browser.js("verdict.textContent = 'waiting'")
    document = browser.send("DOM.getDocument")["root"]["nodeId"]
    node = browser.send("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    browser.send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)
    browser.wait_for(lambda: browser.js("verdict.textContent !== 'waiting'"))
    browser.frames()


def test_an_image_file_becomes_the_digit_it_shows(browser, pages, mnist, tmp_path):
    """A test image ten times as large, anywhere on paper, dark on light or light on dark."""
    show(browser, pages, "ssvae")
    for i, ground in ((0, 255), (1, 0), (2, 230)):
        x = mnist.test_x[i].view(28, 28).numpy()
        large = np.kron(x.astype(float) / 255, np.ones((10, 10)))
        sheet = np.zeros((500, 400))
        sheet[150:430, 20:300] = large
        ink = 20 if ground else 255
        file = file_of(tmp_path / f"{i}.png", ground + (ink - ground) * sheet)
        give(browser, file)
        seen, wanted = canvas(browser, "seen"), grey(mnist.test_x[i])
        assert (seen - wanted).abs().mean() < 0.05
        assert torch.corrcoef(torch.stack([seen, wanted]))[0, 1] > 0.9
    # The test has read the canvas again and again; the page does not.
    assert [c for c in browser.complaints if "readback" not in c["text"]] == []


def test_a_file_of_mnist_s_own_size_is_taken_as_it_is(browser, pages, digits, tmp_path):
    show(browser, pages, "ssvae")
    x = digits.test_x[3].view(28, 28)
    give(browser, file_of(tmp_path / "x.png", x.numpy()))
    torch.testing.assert_close(canvas(browser, "seen"), grey(x.flatten()), rtol=0, atol=0.01)


def test_a_file_that_shows_nothing_says_so(browser, pages, tmp_path):
    show(browser, pages, "ssvae")
    (tmp_path / "no.png").write_text("no image", encoding="utf-8")
    give(browser, tmp_path / "no.png")
    assert browser.js("verdict.textContent") == "no.png is no image that this browser reads."
    give(browser, file_of(tmp_path / "blank.png", np.full((50, 60), 200)))
    assert browser.js("verdict.textContent") == "blank.png shows nothing but paper."
    assert browser.complaints == []


def test_a_test_image_is_taken_pixel_by_pixel(browser, pages, digits):
    show(browser, pages, "vae")
    button = "button[aria-label=\\'test image of a 4\\']"
    browser.js(f"document.querySelector('{button}').click()")
    x = digits.test_x[(digits.test_y == 4).nonzero()[0, 0]]
    torch.testing.assert_close(canvas(browser, "seen"), grey(x), rtol=0, atol=0.01)
    with torch.no_grad():
        m, _ = pages["vae"][0].enc(grey(x).unsqueeze(0))
    torch.testing.assert_close(state(browser)[0], m[0], rtol=0.02, atol=0.02)


# Odd models


def test_a_classifier_alone_has_no_latent_space(browser, tmp_path, digits):
    model = SSVAE(gen_weight=0)
    model.name = "</script><script>document.title = 'broken'</script>"
    file = tmp_path / "explore.html"
    file.write_text(explorer.page(opened(model), digits), encoding="utf-8")
    assert file.stat().st_size < 1_000_000
    browser.open(file.as_uri())
    hidden = browser.js(
        "['latent', 'reconstruction', 'bars'].map((id) => document.getElementById(id).hidden)"
    )
    assert hidden == [True, True, False]
    assert browser.js("title.textContent") == model.name
    assert browser.js("document.title") != "broken"
    assert browser.complaints == []


def alone(browser, folder, model, digits):
    """The page of one model, opened."""
    file = folder / "explore.html"
    file.write_text(explorer.page(opened(model), digits), encoding="utf-8")
    browser.open(file.as_uri())
    return model


def test_without_a_classifier_an_image_is_coded_with_the_label_it_has(browser, tmp_path, digits):
    """Or, of one's own, that was chosen; the mutant takes every image for a 0."""
    torch.manual_seed(0)
    model = alone(browser, tmp_path, lively(CVAE(z_dim=3)), digits)
    at = browser.js("content.example_labels.indexOf(7)")
    browser.js(f"document.querySelectorAll('#examples button')[{at}].click()")
    z, y = state(browser)
    assert y == 7
    x = torch.tensor(browser.js("Array.from(image)"))
    expected = model.posterior(x.unsqueeze(0), torch.eye(10)[[7]]).mean[0]
    torch.testing.assert_close(z, expected.detach(), rtol=5e-3, atol=5e-3)
    assert browser.js("document.querySelector('#labels input:checked').value") == "7"
    assert browser.complaints == []


def test_samples_of_a_prior_that_is_no_gaussian_are_its_own(browser, tmp_path, digits):
    """The mutant draws each dimension on its own, where such a prior has nothing."""
    torch.manual_seed(0)
    model = lively(CATALOGUE["realnvp"].build({"z": 3}, "model=realnvp"))
    with torch.no_grad():
        for p in model.prior_part.parameters():
            p.add_(0.1 * torch.randn_like(p))
    alone(browser, tmp_path, model, digits)
    for _ in range(5):
        browser.js("document.getElementById('sample').click()")
        z, _ = state(browser)
        drawn = torch.tensor(browser.js("Array.from(decodeHalves(content.samples))")).view(-1, 3)
        assert (drawn == z).all(1).any()
    log_p = model.prior().log_prob(drawn)
    assert abs(log_p.mean() - model.prior().log_prob(model.sample_z(500)).mean()) < 1
    assert "Gaussian of the prior" in browser.js("document.getElementById('kl-of').textContent")
    assert browser.complaints == []


@pytest.mark.parametrize("z", [1, 150])
def test_few_and_many_dimensions(browser, tmp_path, digits, z):
    model = VAE(z_dim=z)
    file = tmp_path / "explore.html"
    file.write_text(explorer.page(opened(model), digits), encoding="utf-8")
    browser.open(file.as_uri())
    assert browser.js("document.querySelectorAll('.slider').length") == min(z, 100)
    assert browser.js(
        "plane.axes().length === 2 && document.getElementById('plane').parentElement.hidden"
    ) == (z == 1)
    assert browser.complaints == []


# The script


@pytest.mark.slow
def test_from_the_command_line(run, tmp_path):
    trained = run("run_vae.py", "--iter_max", 2, "--iter_save", 1, "--dataset", "digits", "--z", 2)
    assert trained.returncode == 0, trained.stderr
    (folder,) = (tmp_path / "checkpoints").iterdir()
    done = run("run_explorer.py", folder.name, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("explore.html: ") == 2
    page = (folder / "explore.html").read_text(encoding="utf-8")
    assert '"step": 2' in page
    assert '"data": "digits"' in page
    assert run("run_explorer.py", folder.name, "--step", 1).returncode == 0
    assert '"step": 1' in (folder / "explore.html").read_text(encoding="utf-8")
    exported = run("run_explorer.py", folder.name, "--export", "onnx")
    assert exported.returncode == 0, exported.stderr
    assert {p.name for p in folder.glob("*.onnx")} == {"encoder.onnx", "decoder.onnx"}


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["nowhere"], "There is no run 'nowhere'"),
        ([], "required: RUN"),
        (["x", "--step", "-1"], "--step: expected a whole number, at least 0, got '-1'"),
        (["x", "--export", "pdf"], "invalid choice: 'pdf'"),
    ],
)
def test_a_mistake_is_one_clear_line(run, flags, complaint):
    done = run("run_explorer.py", *flags)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("run_explorer.py: error: ")
    assert complaint in line


def test_the_checkpoint_of_another_script(run, tmp_path, mnist):
    """No flags.json: MNIST, and every net trained."""
    disk.make_folder(tmp_path / "mine")
    checkpoints.save(tmp_path / "mine" / "model-00005.pt", GMVAE(k=3).state_dict())
    done = run("run_explorer.py", "mine", "--data_dir", ROOT / "data")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "mine" / "explore.html").read_text(encoding="utf-8")
    assert '"kind": "GMVAE"' in page
    assert '"data": "mnist"' in page
