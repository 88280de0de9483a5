"""The assignment solved as tutorials solve it: what the project's speed is measured against.

torchvision's MNIST through a DataLoader and ToTensor, image by image; eager fp32; the formulas as
they stand in the text; ten copies of every image for the ten labels; Adam as it comes; the loss
read out at every step. Networks, initialization and parameter names are the project's, so weights
go from one to the other. Nothing here is imported from the project, and nothing is made slow on
purpose.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def mnist(data_dir):
    """torchvision's training set, every image turned into a tensor when it is asked for."""
    return datasets.MNIST(data_dir, train=True, transform=transforms.ToTensor())


class StandIn(datasets.MNIST):
    """Other images in MNIST's place, handed out exactly as torchvision hands out MNIST's.

    Args:
        x, y: (N, 784) uint8 and (N,).
    """

    def __init__(self, x, y):
        self.data, self.targets = x.view(-1, 28, 28), y
        self.transform, self.target_transform = transforms.ToTensor(), None


def train(model, dataset, labelled, batch_size, tqdm):
    """Trains for ever; the progress bar may end it by an exception.

    Args:
        The same as for `steps`.
        tqdm: the progress bar's class.
    """
    with tqdm() as bar:
        for loss in steps(model, dataset, labelled, batch_size):
            bar.set_postfix(loss=f"{loss.item():.2f}")
            bar.update(1)


def steps(model, dataset, labelled, batch_size, device="cpu"):
    """Trains for ever, and yields the loss of every step.

    Args:
        dataset: of (grey image (1, 28, 28), label).
        labelled: None, or grey xl (L, 784) and one-hot yl (L, 10), on the device.
        device: where the model lies.
    """
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    while True:
        for x, _ in loader:
            x = x.to(device)
            batch = (torch.bernoulli(x.reshape(len(x), -1)),)
            if labelled is not None:
                xl, yl = labelled
                batch += (torch.bernoulli(xl), yl)
            optimizer.zero_grad()
            loss = model.loss(*batch)
            loss.backward()
            optimizer.step()
            yield loss


def sample_gaussian(m, v):
    return m + torch.sqrt(v) * torch.randn_like(m)


def log_normal(x, m, v):
    return (-0.5 * (math.log(2 * math.pi) + torch.log(v) + (x - m) ** 2 / v)).sum(-1)


def log_mean_exp(x, dim):
    largest = x.max(dim, keepdim=True).values
    return (largest + (x - largest).exp().mean(dim, keepdim=True).log()).squeeze(dim)


def log_bernoulli(x, logits):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


def kl_normal(qm, qv, pm, pv):
    return (0.5 * (torch.log(pv) - torch.log(qv) + qv / pv + (qm - pm) ** 2 / pv - 1)).sum(-1)


def gaussian_parameters(h, dim):
    m, h = torch.split(h, h.size(dim) // 2, dim=dim)
    return m, F.softplus(h) + 1e-8


def mlp(inputs, outputs, activation):
    return nn.Sequential(
        nn.Linear(inputs, 300),
        activation(),
        nn.Linear(300, 300),
        activation(),
        nn.Linear(300, outputs),
    )


class Net(nn.Module):
    """An MLP of one input, or of two joined."""

    def __init__(self, inputs, outputs, activation=nn.ELU):
        super().__init__()
        self.net = mlp(inputs, outputs, activation)

    def forward(self, *inputs):
        return self.net(torch.cat(inputs, dim=1))


class VAE(nn.Module):
    def __init__(self, z_dim=10):
        super().__init__()
        self.enc, self.dec = Net(784, 2 * z_dim), Net(z_dim, 784)
        self.z_prior_m = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.z_prior_v = nn.Parameter(torch.ones(1), requires_grad=False)

    def loss(self, x):
        m, v = gaussian_parameters(self.enc(x), dim=1)
        z = sample_gaussian(m, v)
        rec = -log_bernoulli(x, self.dec(z))
        return (self.kl(z, m, v) + rec).mean()

    def kl(self, z, m, v):
        return kl_normal(m, v, self.z_prior_m, self.z_prior_v)


class GMVAE(VAE):
    def __init__(self, z_dim=10, k=500):
        super().__init__(z_dim)
        del self.z_prior_m, self.z_prior_v
        self.z_pre = nn.Parameter(torch.randn(1, 2 * k, z_dim) / math.sqrt(k * z_dim))
        self.pi = nn.Parameter(torch.ones(k) / k, requires_grad=False)

    def kl(self, z, m, v):
        prior_m, prior_v = gaussian_parameters(self.z_pre, dim=1)
        log_prior = log_mean_exp(log_normal(z.unsqueeze(1), prior_m, prior_v), dim=1)
        return log_normal(z, m, v) - log_prior


class SSVAE(nn.Module):
    def __init__(self, gen_weight=1, class_weight=100, z_dim=64, y_dim=10):
        super().__init__()
        self.gen_weight, self.class_weight, self.y_dim = gen_weight, class_weight, y_dim
        self.enc, self.dec = Net(784 + y_dim, 2 * z_dim), Net(z_dim + y_dim, 784)
        self.cls = Net(784, y_dim, nn.ReLU)
        self.z_prior_m = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.z_prior_v = nn.Parameter(torch.ones(1), requires_grad=False)

    def loss(self, x, xl, yl):
        ce = F.cross_entropy(self.cls(xl), yl.argmax(1))
        loss = self.class_weight * ce
        if self.gen_weight > 0:
            loss = loss + self.gen_weight * self.nelbo(x)
        return loss

    def nelbo(self, x):
        logits = self.cls(x)
        q, log_q = F.softmax(logits, dim=1), F.log_softmax(logits, dim=1)
        kl_y = (q * (log_q - math.log(1 / self.y_dim))).sum(-1)

        y = torch.eye(self.y_dim, device=x.device).repeat_interleave(len(x), dim=0)  # (10 B, 10)
        x = x.repeat(self.y_dim, 1)  # (10 B, 784)
        m, v = gaussian_parameters(self.enc(x, y), dim=1)
        z = sample_gaussian(m, v)
        rec = -log_bernoulli(x, self.dec(z, y))
        kl_z = kl_normal(m, v, self.z_prior_m, self.z_prior_v)
        given_y = (kl_z + rec).view(self.y_dim, -1).t()  # (B, 10)
        return (kl_y + (q * given_y).sum(-1)).mean()
