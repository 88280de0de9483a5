"""The assignment's formulas in float64 NumPy, written independently of codebase/utils.py.

m and v are means and variances; densities and divergences are in nats, summed over the last axis.
"""

import numpy as np

LOG_2PI = np.log(2 * np.pi)


def log_normal(x, m, v):
    """Σ_d log N(x_d; m_d, v_d): (…, D) → (…)."""
    return -0.5 * np.sum(LOG_2PI + np.log(v) + (x - m) ** 2 / v, axis=-1)


def log_mean_exp(a, axis):
    """log 1/n Σ exp a."""
    top = a.max(axis=axis, keepdims=True)
    return np.log(np.mean(np.exp(a - top), axis=axis)) + top.squeeze(axis)


def log_normal_mixture(z, m, v):
    """log 1/K Σ_k N(z; m_k, v_k): z (…, Z); m, v (…, K, Z) → (…)."""
    return log_mean_exp(log_normal(z[..., None, :], m, v), axis=-1)


def responsibilities(z, m, v):
    """N(z; m_k, v_k) / Σ_j N(z; m_j, v_j): → (…, K)."""
    a = log_normal(z[..., None, :], m, v)
    w = np.exp(a - a.max(axis=-1, keepdims=True))
    return w / w.sum(axis=-1, keepdims=True)


def kl_normal(qm, qv, pm=0.0, pv=1.0):
    """KL(N(qm, qv) ‖ N(pm, pv)), summed over the last axis."""
    return 0.5 * np.sum(np.log(pv / qv) + (qv + (qm - pm) ** 2) / pv - 1, axis=-1)


def cross_entropy(x, logits):
    """−log p(x) of independent Bernoullis, summed over the last axis; exact at any logit."""
    return np.sum(softplus(logits) - x * logits, axis=-1)


def swapped_cross_entropy(x, logits):
    """cross_entropy(logits, x): what comes when its arguments change places."""
    return np.sum(np.logaddexp(0, x) - x * logits, axis=-1)


def sigmoid(a):
    """1/(1 + exp(−a)), without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def squashed(x, logits):
    """cross_entropy with probabilities where logits belong."""
    return cross_entropy(x, sigmoid(logits))


def log_softmax(a):
    """Logs of probabilities over the last axis."""
    a = a - a.max(axis=-1, keepdims=True)
    return a - np.log(np.exp(a).sum(axis=-1, keepdims=True))


def softplus(a):
    """log(1 + exp a)."""
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))
