"""What is compared: the textbook's loop, this project's, a variant of it, and bare products."""

import torch

from benchmarks import ceiling, textbook
from benchmarks.measure import inside_a_temporary_folder
from codebase import utils as ut
from codebase.data import datasets, subsets
from codebase.data.batches import Batches, grey, seeded_generator
from codebase.data.stream import Stream
from codebase.engine import cores
from codebase.engine.memory import keep_memory
from codebase.engine.precision import resolve
from codebase.engine.step import Step
from codebase.models.gmvae import GMVAE
from codebase.models.ssvae import SSVAE
from codebase.models.vae import VAE
from codebase.train import train

SSVAES = {"ssvae_gw1": 1, "ssvae_gw0": 0}


class EnumeratingSSVAE(SSVAE):
    """The project's SSVAE, but every image is copied for every label and joined with it."""

    def negative_elbo_terms_given(self, x, y):
        """As the base class; y is (Y, 1, Y)."""
        copies = ut.duplicate(x, self.y_dim)  # (Y B, D)
        labels = y.expand(-1, len(x), -1).flatten(0, 1)  # (Y B, Y)
        m, v = ut.gaussian_parameters(self.enc.net(torch.cat([copies, labels], dim=-1)))
        z = ut.sample_gaussian(m, v)
        logits = self.dec.net(torch.cat([z, labels], dim=-1))
        kl_z = ut.kl_normal(m, v, *self.z_prior)
        rec = -ut.log_bernoulli_with_logits(copies, logits)
        return kl_z.view(self.y_dim, -1), rec.view(self.y_dim, -1)


def project_model(model, k=500, ssvae=SSVAE, prune=True):
    """The project's model at its script's defaults, on a CPU if it prunes."""
    if model in SSVAES:
        return ssvae(gen_weight=SSVAES[model], prune=prune)
    return VAE(z_dim=10) if model == "vae" else GMVAE(z_dim=10, k=k)


def textbook_model(model, k=500):
    """The textbook's model of the same name and sizes."""
    if model in SSVAES:
        return textbook.SSVAE(gen_weight=SSVAES[model])
    return textbook.VAE(z_dim=10) if model == "vae" else textbook.GMVAE(z_dim=10, k=k)


def plain_step(net, dataset, batch=97, precision="fp32"):
    """A step of one of the project's models, on the dataset's minibatches; seeds are 0."""
    loader = Batches(dataset.train_x, dataset.train_y, batch, seeded_generator(0))
    labelled = subsets.labelled(dataset) if net.abilities.classifier else None
    classes = net.y_dim if net.abilities.conditional else 0
    stream = Stream(loader, labelled, torch.device("cpu"), net.abilities.pixels, classes)
    return Step(net.train(), stream, precision=precision)


def train_project(
    net, model, dataset, batch, seed, bar, precision="auto", on_step=None, fuse=False
):
    """The scripts' own loop, on their own data path, until the bar raises."""
    cpu = torch.device("cpu")
    loader = Batches(dataset.train_x, dataset.train_y, batch, seeded_generator(seed))
    labelled, y_status = None, "none"
    if model in SSVAES:
        labelled, y_status = subsets.labelled(dataset, 100, 0, seed), "semisup"
    with inside_a_temporary_folder():  # for checkpoints/
        train(
            net,
            loader,
            labelled,
            cpu,
            bar,
            None,
            y_status=y_status,
            precision=resolve(precision, cpu),
            graph=True,
            fuse=fuse,
            on_step=on_step,
        )


def train_textbook(net, model, name, data_dir, batch, bar):
    """The textbook's loop on the dataset of that name, until the bar raises."""
    if name == "mnist":
        images = textbook.mnist(data_dir)
    else:
        dataset = datasets.load(name, data_dir)
        images = textbook.StandIn(dataset.train_x, dataset.train_y)
    labelled = None
    if model in SSVAES:
        same = datasets.Dataset(name, images.data.flatten(1), images.targets, None, None)
        xl, yl = subsets.labelled_subset(same)
        labelled = grey(xl), yl
    textbook.train(net, images, labelled, batch, bar)


def run(spec, bar):
    """Runs the loop a spec describes (see measure.spec) in this process, until the bar raises."""
    side, model, batch = spec["side"], spec["model"], spec["batch"]
    torch.manual_seed(0)
    if side in ("fp32", "bf16"):
        step = ceiling.products(model, batch, {"fp32": torch.float32, "bf16": torch.bfloat16}[side])
        with bar():
            while True:
                step()
                bar.update(1)
    if side == "textbook":
        net = textbook_model(model, spec["k"])
        train_textbook(net, model, spec["dataset"], spec["data_dir"], batch, bar)
        return
    keep_memory()  # the scripts do, before they load anything
    with cores.FreeCores() as free:
        dataset = datasets.load(spec["dataset"], spec["data_dir"])
    cores.use(spec["threads"], free.count)
    kind = EnumeratingSSVAE if side == "copies" else SSVAE
    net = project_model(model, spec["k"], kind, prune=side == "project")
    retreat = None if spec["threads"] else cores.Retreat()
    train_project(net, model, dataset, batch, 0, bar, spec["precision"], retreat, spec["fuse"])
