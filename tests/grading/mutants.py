"""Variants of right solutions: mistakes that people make, and right ways of doing it otherwise.

A variant is code at the end of one file of a solution, where it redefines what stands above: a
function of utils.py, or a method of the file's class, written as a function of self. The solution
is `classic`, as people write it on the starter code, or `ours`, this project's, where the GMVAE
inherits from the VAE.
"""

import textwrap
from dataclasses import dataclass

FILES = {"utils": "utils.py", "VAE": "models/vae.py", "GMVAE": "models/gmvae.py",
         "SSVAE": "models/ssvae.py"}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One changed definition.

    Attributes:
        name: what is different.
        where: "utils" or a class.
        code: the definition.
        item: whose points it costs; None for a right one.
        cause: key of the cause the feedback names, where one is promised.
        base: "classic" or "ours".
    """

    name: str
    where: str
    code: str
    item: str | None = None
    cause: str | None = None
    base: str = "classic"

    @property
    def reach(self):
        """Targets whose code this variant changes, or may use what it changes."""
        bounds = ("VAE", "GMVAE", "SSVAE")
        if self.where != "utils":
            return bounds[:2] if (self.where, self.base) == ("VAE", "ours") else (self.where,)
        functions = ("sample_gaussian", "log_normal", "log_normal_mixture")
        if not self.code:
            return (*functions, "given", *bounds)
        changed = next(i for i, name in enumerate(functions) if f"def {name}(" in self.code)
        return {
            0: ("sample_gaussian", *bounds),
            1: ("log_normal", "log_normal_mixture", *bounds[:2]),
            2: ("log_normal_mixture", "GMVAE"),
        }[changed]

    def apply(self, files):
        """The solution {path: text} with this variant in it."""
        code = textwrap.dedent(self.code).strip("\n")
        path = FILES[self.where]
        if self.where != "utils":
            method = code.partition("def ")[2].partition("(")[0]
            code += f"\n\n\n{self.where}.{method} = {method}"
        return files | {path: f"{files[path]}\n\n{code}\n"}


def bound(lines, where, **kwargs):
    """A negative_elbo_bound whose body is the right one with some lines replaced: {old: new}."""
    body = RIGHT[where]
    for old, new in lines.items():
        assert body.count(old) == 1, (where, old)
        body = body.replace(old, new)
    return {"where": where, "code": body} | kwargs


RIGHT = {
    "VAE": """
def negative_elbo_bound(self, x):
    m, v = self.enc.encode(x)
    z = ut.sample_gaussian(m, v)
    logits = self.dec.decode(z)
    kl = ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v).mean()
    rec = -ut.log_bernoulli_with_logits(x, logits).mean()
    return kl + rec, kl, rec
""",
    "GMVAE": """
def negative_elbo_bound(self, x):
    pm, pv = ut.gaussian_parameters(self.z_pre, dim=1)
    m, v = self.enc.encode(x)
    z = ut.sample_gaussian(m, v)
    logits = self.dec.decode(z)
    kl = (ut.log_normal(z, m, v) - ut.log_normal_mixture(z, pm, pv)).mean()
    rec = -ut.log_bernoulli_with_logits(x, logits).mean()
    return kl + rec, kl, rec
""",
    "SSVAE": """
def negative_elbo_bound(self, x):
    n = len(x)
    log_q = F.log_softmax(self.cls.classify(x), dim=1)
    q = log_q.exp()
    y = torch.eye(10).repeat_interleave(n, dim=0)
    x = ut.duplicate(x, 10)
    m, v = self.enc.encode(x, y)
    z = ut.sample_gaussian(m, v)
    logits = self.dec.decode(z, y)
    kl_y = ut.kl_cat(q, log_q, -np.log(10)).mean()
    kl_z = ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v)
    rec = -ut.log_bernoulli_with_logits(x, logits)
    weights = q.T.reshape(-1)
    kl_z = (weights * kl_z).sum() / n
    rec = (weights * rec).sum() / n
    return kl_y + kl_z + rec, kl_z, kl_y, rec
""",
}


def mistake(name, item, cause=None, **kwargs):
    return Variant(name, item=item, cause=f"cause.{cause}" if cause else None, **kwargs)


def util(code, **kwargs):
    return {"where": "utils", "code": code} | kwargs


SAMPLE = "def sample_gaussian(m, v):\n    "
LOG_NORMAL = "def log_normal(x, m, v):\n    "
MIXTURE = "def log_normal_mixture(z, m, v):\n    "
LOG_2PI = "np.log(2 * np.pi)"
EACH = "log_normal(z.unsqueeze(1), m, v)"

WRONG = [
    # 1.1
    mistake("v is the standard deviation", "1.1", "v_as_s",
            **util(SAMPLE + "return m + v * torch.randn_like(m)")),
    mistake("the mean is returned", "1.1", "no_noise", **util(SAMPLE + "return m")),
    mistake("the mean is forgotten", "1.1", "mean_ignored",
            **util(SAMPLE + "return torch.sqrt(v) * torch.randn_like(m)")),
    mistake("uniform noise", "1.1", "uniform_noise",
            **util(SAMPLE + "return m + torch.sqrt(v) * torch.rand_like(m)")),
    mistake("the noise is not scaled", "1.1", "unit_noise",
            **util(SAMPLE + "return m + torch.randn_like(m)")),
    mistake("v is a log variance", "1.1",
            **util(SAMPLE + "return m + torch.exp(v / 2) * torch.randn_like(m)")),
    mistake("one noise for the batch", "1.1", "shared_rows",
            **util(SAMPLE + "return m + torch.sqrt(v) * torch.randn(m.shape[-1])")),
    mistake("one noise per element", "1.1", "shared_columns",
            **util(SAMPLE + "return m + torch.sqrt(v) * torch.randn(m.shape[:-1] + (1,))")),
    mistake("a seed inside", "1.1", "reseeded",
            **util(SAMPLE + "torch.manual_seed(0)\n"
                   "    return m + torch.sqrt(v) * torch.randn_like(m)")),
    mistake("noise in float64", "1.1", "other_type",
            **util(SAMPLE + "return m + v.sqrt() * torch.randn(m.shape, dtype=torch.float64)")),
    mistake("no gradient: torch.normal", "1.1",
            **util(SAMPLE + "return torch.normal(m, v.sqrt())", base="ours")),
    mistake("no gradient: .sample()", "1.1",
            **util(SAMPLE + "return torch.distributions.Normal(m, v.sqrt()).sample()")),
    mistake("uniform noise of the right variance", "1.1", "uniform_noise",
            **util(SAMPLE + "return m + (12 * v).sqrt() * (torch.rand_like(m) - 0.5)")),
    # 1.2
    mistake("mean over the pixels", "1.2", "mean_over_pixels", **bound(
        {"-ut.log_bernoulli_with_logits(x, logits).mean()":
         "torch.nn.functional.binary_cross_entropy_with_logits(logits, x)"
        }, "VAE")),
    mistake("sum over the minibatch", "1.2", "sum_over_batch", **bound(
        {"self.z_prior_v).mean()": "self.z_prior_v).sum()", "logits).mean()": "logits).sum()"},
        "VAE")),
    mistake("the sign of the reconstruction", "1.2", "sign", **bound({"= -ut": "= ut"}, "VAE")),
    mistake("the KL reversed", "1.2", "kl_reversed", **bound(
        {"m, v, self.z_prior_m, self.z_prior_v": "self.z_prior_m, self.z_prior_v, m, v"}, "VAE")),
    mistake("√v as the KL's variance", "1.2", "s_as_v", **bound(
        {"kl_normal(m, v,": "kl_normal(m, v.sqrt(),"}, "VAE")),
    mistake("mean over the latent dimensions", "1.2", "mean_over_dim", **bound(
        {"self.z_prior_v).mean()": "self.z_prior_v).mean() / self.z_dim"}, "VAE")),
    mistake("no sampling", "1.2", "no_sampling", **bound(
        {"z = ut.sample_gaussian(m, v)": "z = m"}, "VAE")),
    *(mistake(f"a seed inside the {model}'s bound", item, "reseeded", **bound(
        {"    z = ut": "    torch.manual_seed(0)\n    z = ut"}, model)) for model, item in
      (("VAE", "1.2"), ("GMVAE", "2.1"), ("SSVAE", "3.2"))),
    mistake("z from the prior", "1.2", "prior_sample", **bound(
        {"z = ut.sample_gaussian(m, v)": "z = torch.randn_like(m)"}, "VAE")),
    mistake("the ELBO, not its negative", "1.2", "elbo_sign", **bound(
        {"return kl + rec": "return -kl - rec"}, "VAE")),
    mistake("kl and rec swapped", "1.2", "swapped", **bound(
        {"return kl + rec, kl, rec": "return kl + rec, rec, kl"}, "VAE")),
    mistake("a value per image", "1.2", "no_batch_mean", **bound(
        {"self.z_prior_v).mean()": "self.z_prior_v)", "logits).mean()": "logits)"}, "VAE")),
    mistake("probabilities, then logarithms", "1.2", "no_logits", **bound(
        {"-ut.log_bernoulli_with_logits(x, logits).mean()":
         "-(x * logits.sigmoid().log() + (1 - x) * (1 - logits.sigmoid()).log()).sum(-1).mean()"},
        "VAE")),
    mistake("the sample cut from the graph", "1.2", "detached", **bound(
        {"ut.sample_gaussian(m, v)": "ut.sample_gaussian(m, v).detach()"}, "VAE")),
    mistake("a batch of 100 assumed", "1.2", **bound(
        {"self.z_prior_v).mean()": "self.z_prior_v).sum() / 100",
         "logits).mean()": "logits).sum() / 100"}, "VAE")),
    mistake("numbers instead of tensors", "1.2", **bound(
        {"self.z_prior_v).mean()": "self.z_prior_v).mean().item()"}, "VAE")),
    mistake("no sampling, inherited by the GMVAE", "1.2", "no_sampling",
            where="VAE", base="ours", code="""
            def negative_elbo_terms(self, x):
                q = self.posterior(x)
                kl_z = 0.5 * (q.v + q.m**2 - 1 - q.v.log()).sum(-1)
                return kl_z, -self.likelihood(q.m).log_prob(x)
            """),
    mistake("the KL's gradient stops", "1.2", **bound(
        {"return kl + rec": "return kl.detach() + rec"}, "VAE")),
    mistake("the KL's gradient by v stops", "1.2", "detached", **bound(
        {"kl_normal(m, v, ": "kl_normal(m, v.detach(), "}, "VAE")),
    mistake("the KL's gradient by m stops", "1.2", "detached", **bound(
        {"kl_normal(m, v, ": "kl_normal(m.detach(), v, "}, "VAE")),
    mistake("the sample's gradient by v stops", "1.2", "detached", **bound(
        {"sample_gaussian(m, v)": "sample_gaussian(m, v.detach())"}, "VAE")),
    # 2.1, log_normal
    mistake("no normalizing constant", "2.1", "no_constant", **util(
        LOG_NORMAL + "return (-0.5 * torch.log(v) - 0.5 * (x - m) ** 2 / v).sum(-1)")),
    mistake("the constant once", "2.1", "constant_once", **util(
        LOG_NORMAL + "kernel = (-0.5 * v.log() - 0.5 * (x - m) ** 2 / v).sum(-1)\n"
        f"    return kernel - 0.5 * {LOG_2PI}")),
    mistake("v is the standard deviation, in the density", "2.1", "v_as_s", **util(
        LOG_NORMAL + "return torch.distributions.Normal(m, v).log_prob(x).sum(-1)")),
    mistake("mean over the dimensions", "2.1", "mean_over_dim", **util(
        LOG_NORMAL + "return torch.distributions.Normal(m, v.sqrt()).log_prob(x).mean(-1)")),
    mistake("no sum over the dimensions", "2.1", **util(
        LOG_NORMAL + "return torch.distributions.Normal(m, v.sqrt()).log_prob(x)")),
    mistake("log v without its half", "2.1", "half_missing_log_v", **util(
        LOG_NORMAL + "return (-0.5 * LOG_2PI - v.log() - 0.5 * (x - m) ** 2 / v).sum(-1)",
        base="ours")),
    mistake("the density underflows", "2.1", **util(
        LOG_NORMAL + "p = torch.exp(-((x - m) ** 2) / (2 * v)) / torch.sqrt(2 * np.pi * v)\n"
        "    return torch.log(torch.prod(p, dim=-1))")),
    mistake("a density kept with keepdim", "2.1", **util(
        LOG_NORMAL + "return torch.distributions.Normal(m, v.sqrt()).log_prob(x)"
        ".sum(-1, keepdim=True)")),
    mistake("squeezed: one row loses its axis", "2.1", **util(
        LOG_NORMAL + "d = torch.distributions.Normal(m, v.sqrt())\n"
        "    return d.log_prob(x).sum(-1).squeeze()")),
    # 2.1, log_normal_mixture
    mistake("log_sum_exp for log_mean_exp", "2.1", "log_k_missing", **util(
        MIXTURE + f"return log_sum_exp({EACH}, 1)")),
    mistake("mean of the logarithms", "2.1", "mean_of_logs", **util(
        MIXTURE + f"return {EACH}.mean(1)")),
    mistake("mixture per coordinate", "2.1", "per_coordinate", **util(
        MIXTURE + "lp = torch.distributions.Normal(m, v.sqrt()).log_prob(z.unsqueeze(1))\n"
        "    return log_mean_exp(lp, 1).sum(-1)")),
    mistake("not in logarithms", "2.1", "no_log_mean_exp", **util(
        MIXTURE + f"return {EACH}.exp().mean(1).log()")),
    mistake("an epsilon in the logarithm", "2.1", **util(
        MIXTURE + f"return torch.log({EACH}.exp().mean(1) + 1e-10)")),
    mistake("the largest component", "2.1", "largest_component", **util(
        MIXTURE + f"return {EACH}.max(1)[0] - np.log(m.shape[1])")),
    # 2.1, GMVAE
    mistake("the prior is N(0, I)", "2.1", "standard_normal_prior", **bound(
        {"(ut.log_normal(z, m, v) - ut.log_normal_mixture(z, pm, pv)).mean()":
         "ut.kl_normal(m, v, torch.zeros(1), torch.ones(1)).mean()"}, "GMVAE")),
    mistake("another z for the KL", "2.1", "other_sample", **bound(
        {"    kl = (": "    z = ut.sample_gaussian(m, v)\n    kl = ("}, "GMVAE")),
    mistake("log q at another z", "2.1", "other_sample", **bound(
        {"(ut.log_normal(z, m, v) -": "(ut.log_normal(ut.sample_gaussian(m, v), m, v) -"},
        "GMVAE")),
    mistake("log p − log q", "2.1", "sign", **bound(
        {"(ut.log_normal(z, m, v) - ut.log_normal_mixture(z, pm, pv))":
         "(ut.log_normal_mixture(z, pm, pv) - ut.log_normal(z, m, v))"}, "GMVAE")),
    mistake("log q forgotten", "2.1", **bound(
        {"(ut.log_normal(z, m, v) - ut": "-(ut"}, "GMVAE")),
    mistake("the mixture of m", "2.1", **bound(
        {"log_normal_mixture(z, pm": "log_normal_mixture(m, pm"}, "GMVAE")),
    mistake("gradients stop at the mixture", "2.1", **bound(
        {"(self.z_pre, dim=1)": "(self.z_pre.detach(), dim=1)"}, "GMVAE")),
    mistake("the gradient of log q stops", "2.1", "detached", **bound(
        {"(ut.log_normal(z, m, v) -": "(ut.log_normal(z, m, v).detach() -"}, "GMVAE")),
    mistake("the mixture's gradient by z stops", "2.1", "detached", **bound(
        {"log_normal_mixture(z, pm": "log_normal_mixture(z.detach(), pm"}, "GMVAE")),
    mistake("halves of z_pre on the wrong axis", "2.1", **bound(
        {"    pm, pv = ut.gaussian_parameters(self.z_pre, dim=1)":
         "    pm, pv = ut.gaussian_parameters(self.z_pre.reshape(1, self.k, -1), dim=2)"},
        "GMVAE")),
    mistake("sum over the minibatch, GMVAE", "2.1", "sum_over_batch", **bound(
        {"pm, pv)).mean()": "pm, pv)).sum()", "logits).mean()": "logits).sum()"}, "GMVAE")),
    mistake("the wrong KL, inherited design", "2.1", where="GMVAE", base="ours", code="""
            def negative_elbo_terms(self, x):
                q = self.posterior(x)
                z = q.rsample()
                kl_z = ut.kl_normal(q.m, q.v, torch.zeros_like(q.m), torch.ones_like(q.v))
                return kl_z, -self.likelihood(z).log_prob(x)
            """),
    # 3.2
    mistake("labels without their weights", "3.2", "unweighted_sum", **bound(
        {"(weights * kl_z)": "kl_z", "(weights * rec)": "rec"}, "SSVAE")),
    mistake("labels averaged equally", "3.2", "unweighted_mean", **bound(
        {"(weights * kl_z).sum() / n": "kl_z.mean()", "(weights * rec).sum() / n": "rec.mean()"},
        "SSVAE")),
    mistake("weights paired with the wrong images", "3.2", "paired_wrong", **bound(
        {"q.T.reshape(-1)": "q.reshape(-1)"}, "SSVAE")),
    mistake("labels paired with the wrong images", "3.2", **bound(
        {"torch.eye(10).repeat_interleave(n, dim=0)": "torch.eye(10).repeat(n, 1)"}, "SSVAE")),
    mistake("log 10 forgotten", "3.2", "log_10_missing", **bound(
        {"ut.kl_cat(q, log_q, -np.log(10))": "(q * log_q).sum(-1)"}, "SSVAE")),
    mistake("the entropy's sign", "3.2", **bound(
        {"kl_y = ut": "kl_y = -ut"}, "SSVAE")),
    mistake("kl_y against 1/10", "3.2", "p_not_log", **bound(
        {"-np.log(10)": "0.1"}, "SSVAE")),
    mistake("weights of a sampled label", "3.2", "sampled_label", **bound(
        {"weights = q.T.reshape(-1)":
         "weights = F.one_hot(torch.multinomial(q, 1)[:, 0], 10).float().T.reshape(-1)"},
        "SSVAE")),
    *(mistake(name, "3.2", "sampled_label", **bound(
        {"    y = torch.eye(10).repeat_interleave(n, dim=0)\n    x = ut.duplicate(x, 10)\n":
         f"    y = {label}\n", "    weights = q.T.reshape(-1)\n": "",
         "(weights * kl_z).sum() / n": "kl_z.mean()", "(weights * rec).sum() / n": "rec.mean()"},
        "SSVAE")) for name, label in {
            "a label from torch.multinomial": "F.one_hot(q.multinomial(1)[:, 0], 10).float()",
            "a label straight through Gumbel": "F.gumbel_softmax(log_q, hard=True)"}.items()),
    mistake("the most probable label", "3.2", "best_label", **bound(
        {"weights = q.T.reshape(-1)":
         "weights = F.one_hot(q.argmax(1), 10).float().T.reshape(-1)"}, "SSVAE")),
    mistake("mean over the labels too", "3.2", "mean_over_labels", **bound(
        {"kl_z).sum() / n": "kl_z).mean()", "rec).sum() / n": "rec).mean()"}, "SSVAE")),
    mistake("kl_y not in the bound", "3.2", **bound(
        {"return kl_y + kl_z + rec": "return kl_z + rec"}, "SSVAE")),
    mistake("kl_y and kl_z swapped", "3.2", "order", **bound(
        {"rec, kl_z, kl_y, rec": "rec, kl_y, kl_z, rec"}, "SSVAE")),
    mistake("log of softmax", "3.2", "log_of_softmax", **bound(
        {"log_q = F.log_softmax(self.cls.classify(x), dim=1)":
         "log_q = torch.softmax(self.cls.classify(x), dim=1).log()"}, "SSVAE")),
    mistake("the classifier gets no gradient", "3.2", **bound(
        {"q = log_q.exp()": "q, log_q = log_q.exp().detach(), log_q.detach()"}, "SSVAE")),
    mistake("the gradient of kl_y stops", "3.2", "detached", **bound(
        {"return kl_y + kl_z + rec": "return kl_y.detach() + kl_z + rec"}, "SSVAE")),
    mistake("the gradient of kl_z stops", "3.2", **bound(
        {"return kl_y + kl_z + rec": "return kl_y + kl_z.detach() + rec"}, "SSVAE")),
    mistake("kl_z moves no weights of labels", "3.2", "detached", **bound(
        {"kl_z = (weights * kl_z)": "kl_z = (weights.detach() * kl_z)"}, "SSVAE")),
    mistake("sum over the minibatch, SSVAE", "3.2", "sum_over_batch", **bound(
        {"log(10)).mean()": "log(10)).sum()", "kl_z).sum() / n": "kl_z).sum()",
         "rec).sum() / n": "rec).sum()"}, "SSVAE")),
    mistake("three values", "3.2", **bound({"rec, kl_z, kl_y, rec": "rec, kl_z + kl_y, rec"},
                                           "SSVAE")),
]  # fmt: skip

RIGHT_BUT_UNUSUAL = [
    # Of what the wrong bounds are made, with nothing replaced.
    *(Variant(f"the {model}'s bound by itself", **bound({}, model)) for model in RIGHT),
    Variant("this project's own", "utils", "", base="ours"),
    Variant("the starter code's way", "utils", ""),
    Variant("Normal.rsample", **util(
        SAMPLE + "return torch.distributions.Normal(m, v.sqrt()).rsample()")),
    Variant("noise subtracted, in float64", **util(
        SAMPLE + "e = torch.randn(m.shape, dtype=torch.float64)\n"
        "    return (m - v.sqrt() * e).to(m.dtype)")),
    Variant("noise by the inverse distribution function", **util(
        SAMPLE + "u = torch.rand(m.shape, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)\n"
        "    return m + v.sqrt() * torch.special.ndtri(u).float()")),
    Variant("noise from NumPy", **util(
        SAMPLE + "return m + v ** 0.5 * torch.as_tensor(np.random.randn(*m.shape)).float()",
        base="classic")),
    Variant("a generator of its own", **util(
        "GENERATOR = torch.Generator().manual_seed(7)\n\n\n" + SAMPLE
        + "return m + v.sqrt() * torch.randn(m.shape, generator=GENERATOR)")),
    Variant("torch.distributions in log_normal", **util(
        LOG_NORMAL + "d = torch.distributions.Normal(m, v.sqrt())\n"
        "    return torch.distributions.Independent(d, 1).log_prob(x)")),
    Variant("gaussian_nll_loss in log_normal", **util(
        LOG_NORMAL + "x, m, v = torch.broadcast_tensors(x, m, v)\n"
        "    nll = F.gaussian_nll_loss(m, x, v, full=True, eps=1e-12, reduction='none')\n"
        "    return -nll.sum(-1)")),
    Variant("float64 in log_normal", **util(
        LOG_NORMAL + "x, m, v = x.double(), m.double(), v.double()\n"
        f"    return (-0.5 * ((x - m) ** 2 / v + v.log() + {LOG_2PI})).sum(-1)")),
    Variant("einsum in log_normal", **util(
        LOG_NORMAL + "x, m, v = torch.broadcast_tensors(x, m, v)\n"
        "    square = torch.einsum('...d,...d->...', (x - m) ** 2, 1 / v)\n"
        f"    return -0.5 * (square + v.log().sum(-1) + x.shape[-1] * {LOG_2PI})")),
    Variant("MultivariateNormal in log_normal", **util(
        LOG_NORMAL + "x, m, v = torch.broadcast_tensors(x, m, v)\n"
        "    L = torch.diag_embed(v.sqrt())\n"
        "    return torch.distributions.MultivariateNormal(m, scale_tril=L).log_prob(x)")),
    Variant("log_normal compiled by torch.jit", **util(
        "@torch.jit.script\ndef log_normal(x, m, v):\n"
        "    each = torch.log(6.283185307179586 * v) + (x - m) ** 2 / v\n"
        "    return -0.5 * each.sum(-1)")),
    Variant("sample_gaussian compiled by torch.compile", **util(
        "@torch.compile(fullgraph=True)\n" + SAMPLE
        + "return m + torch.sqrt(v) * torch.randn_like(m)")),
    Variant("the VAE's bound compiled by torch.compile", "VAE",
            "@torch.compile" + RIGHT["VAE"]),
    Variant("MixtureSameFamily", **util(
        MIXTURE + "b = len(z)\n"
        "    m, v = m.expand(b, *m.shape[1:]), v.expand(b, *v.shape[1:])\n"
        "    D = torch.distributions\n"
        "    each = D.Independent(D.Normal(m, v.sqrt()), 1)\n"
        "    weights = D.Categorical(logits=torch.zeros(m.shape[:2]))\n"
        "    return D.MixtureSameFamily(weights, each).log_prob(z)")),
    Variant("a loop over components", **util(
        MIXTURE + "each = [log_normal(z, m[:, k], v[:, k]) for k in range(m.shape[1])]\n"
        "    return torch.logsumexp(torch.stack(each), 0) - np.log(len(each))")),
    Variant("the weights as logarithms inside", **util(
        MIXTURE + f"return log_sum_exp({EACH} + math.log(1 / m.shape[1]), 1)", base="ours")),
    Variant("a sampled KL in the VAE", **bound(
        {"ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v)":
         "(ut.log_normal(z, m, v) - ut.log_normal(z, self.z_prior_m, self.z_prior_v))"}, "VAE")),
    Variant("kl_divergence of torch.distributions", **bound(
        {"ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v).mean()":
         "torch.distributions.kl_divergence(torch.distributions.Normal(m, v.sqrt()),"
         " torch.distributions.Normal(0.0, 1.0)).sum() / len(x)"}, "VAE")),
    Variant("binary_cross_entropy_with_logits over the batch size", where="VAE", code="""
        def negative_elbo_bound(self, x):
            m, v = self.enc(x)
            logits = self.dec(m + v.sqrt() * torch.randn_like(v))
            loss = torch.nn.functional.binary_cross_entropy_with_logits
            rec = loss(logits, x, reduction="sum") / x.shape[0]
            kl = 0.5 * (m.pow(2) + v - v.log() - 1).sum(1).mean(0)
            return rec + kl, kl, rec
        """),
    Variant("ten samples averaged", where="VAE", code="""
        def negative_elbo_bound(self, x):
            m, v = self.enc.encode(x)
            kl = ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v).mean()
            rec = 0
            for _ in range(10):
                logits = self.dec.decode(ut.sample_gaussian(m, v))
                rec = rec - ut.log_bernoulli_with_logits(x, logits).mean() / 10
            return kl + rec, kl, rec
        """),
    Variant("the mixture expanded, its weights from pi", where="GMVAE", code="""
        def negative_elbo_bound(self, x):
            m, v = self.enc.encode(x)
            z = m + v.sqrt() * torch.randn_like(m)
            pm, pv = torch.split(self.z_pre, self.k, dim=1)
            pv = torch.nn.functional.softplus(pv) + 1e-8
            each = ut.log_normal(z[:, None], pm, pv) + self.pi.log()
            kl = (ut.log_normal(z, m, v) - torch.logsumexp(each, dim=-1)).mean()
            rec = ut.log_bernoulli_with_logits(x, self.dec.decode(z)).mean().neg()
            return rec.add(kl), kl, rec
        """),
    Variant("antithetic pairs of samples", where="GMVAE", code="""
        def negative_elbo_bound(self, x):
            m, v = self.enc(x)
            e = torch.randn_like(m)
            m, v, x, e = (torch.cat(pair) for pair in ((m, m), (v, v), (x, x), (e, -e)))
            z = m + v.sqrt() * e
            prior = ut.gaussian_parameters(self.z_pre, dim=1)
            kl = (ut.log_normal(z, m, v) - ut.log_normal_mixture(z, *prior)).mean()
            rec = -ut.log_bernoulli_with_logits(x, self.dec(z)).mean()
            return kl + rec, kl, rec
        """),
    Variant("one noise for the ten labels", where="SSVAE", code="""
        def negative_elbo_bound(self, x):
            q = torch.distributions.OneHotCategorical(logits=self.cls(x))
            e = torch.randn(len(x), self.z_dim)
            kl_z = rec = 0
            for y in q.enumerate_support():
                m, v = self.enc(x, y)
                w = q.log_prob(y).exp()
                kl_z = kl_z + (w * ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v)).mean()
                logits = self.dec(m + v.sqrt() * e, y)
                rec = rec - (w * ut.log_bernoulli_with_logits(x, logits)).mean()
            kl_y = (np.log(self.y_dim) - q.entropy()).mean()
            return kl_y + kl_z + rec, kl_z, kl_y, rec
        """),
    Variant("a loop over the labels", where="SSVAE", code="""
        def negative_elbo_bound(self, x):
            log_q = self.cls(x).log_softmax(-1)
            q = log_q.exp()
            kl_y = (q * (log_q + np.log(self.y_dim))).sum(-1).mean()
            kl_z = rec = 0
            for i in range(self.y_dim):
                y = torch.zeros(len(x), self.y_dim)
                y[:, i] = 1
                m, v = self.enc(x, y)
                z = ut.sample_gaussian(m, v)
                kl = ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v)
                kl_z = kl_z + (q[:, i] * kl).mean()
                rec = rec - (q[:, i] * ut.log_bernoulli_with_logits(x, self.dec(z, y))).mean()
            return kl_z + kl_y + rec, kl_z, kl_y, rec
        """),
    Variant("images outermost, einsum", where="SSVAE", code="""
        def negative_elbo_bound(self, x):
            n, k = len(x), self.y_dim
            q = torch.softmax(self.cls(x), -1)
            log_q = F.log_softmax(self.cls(x), -1)
            y = torch.eye(k).repeat(n, 1)
            xs = x.repeat_interleave(k, dim=0)
            m, v = self.enc(xs, y)
            z = ut.sample_gaussian(m, v)
            kl = ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v).view(n, k)
            rec = -ut.log_bernoulli_with_logits(xs, self.dec(z, y)).view(n, k)
            kl_z, rec = (torch.einsum("nk,nk->", q, t) / n for t in (kl, rec))
            kl_y = torch.nn.functional.kl_div(
                torch.full_like(q, -np.log(k)), log_q, log_target=True, reduction="batchmean"
            )
            return kl_z + kl_y + rec, kl_z, kl_y, rec
        """),
    Variant("a sampled KL of z in the SSVAE", **bound(
        {"ut.kl_normal(m, v, self.z_prior_m, self.z_prior_v)":
         "ut.log_normal(z, m, v) - ut.log_normal(z, self.z_prior_m, self.z_prior_v)"}, "SSVAE")),
]  # fmt: skip


# Ways to draw z wrongly within a bound, in place of `ut.sample_gaussian(m, v)`.
DRAWS = {
    "v as a standard deviation": "m + v * torch.randn_like(v)",
    "the mean": "m",
    "unit noise": "m + torch.randn_like(m)",
    "v as a log variance": "m + torch.exp(0.5 * v) * torch.randn_like(m)",
    "the prior": "torch.randn_like(m)",
    "no mean": "v.sqrt() * torch.randn_like(m)",
    "uniform noise": "m + v.sqrt() * torch.rand_like(m)",
    "v squared": "m + v ** 2 * torch.randn_like(m)",
    "half the spread": "m + 0.5 * v.sqrt() * torch.randn_like(m)",
    "the fourth root": "m + v ** 0.25 * torch.randn_like(m)",
    "one-sided noise": "m + v.sqrt() * torch.randn_like(m).abs()",
    "one noise for all images": "m + v.sqrt() * torch.randn(m.shape[-1])",
    "one noise for all dimensions": "m + v.sqrt() * torch.randn(len(m), 1)",
    "another image's posterior": "ut.sample_gaussian(m.roll(1, 0), v.roll(1, 0))",
    "the batch's mean": "ut.sample_gaussian(m.mean(0, keepdim=True).expand_as(m), v)",
    "m cut from the graph": "m.detach() + v.sqrt() * torch.randn_like(v)",
}
ITEM = {"VAE": "1.2", "GMVAE": "2.1", "SSVAE": "3.2"}
WRONG_DRAWS = [
    mistake(f"{model}: {name}", item, **bound({"z = ut.sample_gaussian(m, v)": f"z = {z}"}, model))
    for model, item in ITEM.items()
    for name, z in DRAWS.items()
]

IWAE = """
import math


def negative_iwae_bound(self, x, iw):
    n = len(x)
    m, v = self.enc.encode(x)
    m, v, x = ut.duplicate(m, iw), ut.duplicate(v, iw), ut.duplicate(x, iw)
    z = ut.sample_gaussian(m, v)
    kl = ut.log_normal(z, m, v) - ut.log_normal(z, torch.zeros_like(m), torch.ones_like(v))
    rec = -ut.log_bernoulli_with_logits(x, self.dec.decode(z))
    niwae = -ut.log_mean_exp(-(kl + rec).reshape(iw, n), dim=0).mean()
    return niwae, kl.mean(), rec.mean()
"""


def iwae(name, lines):
    """A VAE with the right IWAE bound, some lines of it replaced."""
    body = IWAE
    for old, new in lines.items():
        assert body.count(old) == 1, old
        body = body.replace(old, new)
    return Variant(name, "VAE", body)


NLL = "-ut.log_mean_exp(-(kl + rec).reshape(iw, n), dim=0).mean()"
RIGHT_IWAE = [
    iwae("as it is", {}),
    iwae("logsumexp", {NLL: "(math.log(iw) - torch.logsumexp(-(kl + rec).view(iw, n), 0)).mean()"}),
    iwae("images outermost", {
        "ut.duplicate(m, iw), ut.duplicate(v, iw), ut.duplicate(x, iw)":
        "(t.repeat_interleave(iw, 0) for t in (m, v, x))",
        ".reshape(iw, n), dim=0)": ".reshape(n, iw), dim=1)"}),
]  # fmt: skip
WRONG_IWAE = [
    iwae("the ELBO", {NLL: "(kl + rec).mean()"}),
    iwae("a sum for a mean", {"log_mean_exp": "log_sum_exp"}),
    iwae("the sign", {"niwae = -ut": "niwae = ut"}),
    iwae("the sign inside", {"exp(-(kl + rec)": "exp((kl + rec)"}),
    iwae("images mixed", {".reshape(iw, n), dim=0)": ".reshape(n, iw), dim=1)"}),
    iwae("over everything", {".reshape(iw, n), dim=0)": ".flatten(), dim=0)"}),
    iwae("over the images", {".reshape(iw, n), dim=0)": ".reshape(iw, n), dim=1)"}),
    iwae("one sample copied", {
        "    z = ut.sample_gaussian(m, v)\n":
        "    z = ut.duplicate(ut.sample_gaussian(m[:n], v[:n]), iw)\n"}),
    iwae("the KL in closed form", {
        "kl = ut.log_normal(z, m, v) - ut.log_normal(z, torch.zeros_like(m), torch.ones_like(v))":
        "kl = ut.kl_normal(m, v, torch.zeros_like(m), torch.ones_like(v))"}),
    iwae("log q forgotten", {"kl = ut.log_normal(z, m, v) - ut": "kl = -ut"}),
    iwae("log p forgotten", {
        " - ut.log_normal(z, torch.zeros_like(m), torch.ones_like(v))": ""}),
    iwae("log q at the mean", {"kl = ut.log_normal(z, m, v)": "kl = ut.log_normal(m, m, v)"}),
    iwae("the mean as the sample", {"z = ut.sample_gaussian(m, v)": "z = m"}),
    iwae("v as a standard deviation", {
        "z = ut.sample_gaussian(m, v)": "z = m + v * torch.randn_like(v)"}),
    iwae("log of the mean of the sums", {NLL: "(kl + rec).reshape(iw, n).min(0)[0].mean()"}),
    iwae("only the reconstruction is averaged so", {
        NLL: "(kl.mean() - ut.log_mean_exp(-rec.reshape(iw, n), dim=0).mean())"}),
    iwae("each term averaged so", {
        NLL: "-(ut.log_mean_exp(-kl.reshape(iw, n), dim=0)"
             " + ut.log_mean_exp(-rec.reshape(iw, n), dim=0)).mean()"}),
    iwae("a sum over the batch", {"dim=0).mean()": "dim=0).sum()"}),
    iwae("log M twice", {"dim=0).mean()": "dim=0).mean() + math.log(iw)"}),
    iwae("half the weights", {"exp(-(kl + rec)": "exp(-0.5 * (kl + rec)"}),
]  # fmt: skip

ZEROS = "torch.zeros((), requires_grad=True)"
PLACEHOLDERS = [
    *(
        Variant(f"{name}: {value}", **util(f"def {name}({arguments}):\n    return {value}"))
        for name, arguments, values in (
            ("sample_gaussian", "m, v", ("torch.zeros_like(m)", "torch.ones_like(v)", "None")),
            ("log_normal", "x, m, v", ("torch.zeros(x.shape[:-1])", "0 * x.sum(-1)", "None")),
            ("log_normal_mixture", "z, m, v", ("torch.zeros(len(z))", "0 * z.sum(-1)", "None")),
        )
        for value in values
    ),
    *(
        Variant(f"{model}: {value}", model, f"def negative_elbo_bound(self, x):\n    {value}\n")
        for model, n in (("VAE", 3), ("GMVAE", 3), ("SSVAE", 4))
        for value in (
            f"return ({ZEROS},) * {n}",
            f"return (0 * x.sum(),) * {n}",
            f"terms = torch.full(({n - 1},), 50.0) + 0 * self.enc.net[0].weight.sum()\n"
            "    return (terms.sum(), *terms)",
            "pass",
        )
    ),
]  # fmt: skip
