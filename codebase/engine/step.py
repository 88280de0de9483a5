"""One training step: draw a minibatch, minimize its loss by Adam. Waits for nothing."""

import torch

from codebase.engine.precision import products


class Step:
    """Draws a minibatch and minimizes its loss by a step of Adam.

    A subclass may train several models by one step; what it hands over has the model as its first
    dimension then, and `part` takes it apart.

    Args:
        model, optimizer, precision: as for `update`.
        stream: a `data.stream.Stream`.
    Attributes:
        tags: of the summaries.
    """

    def __init__(self, model, optimizer, stream, precision="fp32"):
        self.model, self.optimizer, self.stream = model, optimizer, stream
        self.precision, self.tags = precision, []

    def __call__(self):
        """Takes a step.

        Returns:
            The summaries in the order of the tags, (T,), and the unlabelled minibatch's x and y.
        """
        return self.take(self.stream.next())

    def take(self, sources):
        """The step on the minibatch that lies at sources (see `data.stream.Stream.take`)."""
        x, y, batch = self.stream.take(sources)
        summaries = update(self.model, self.optimizer, batch, self.precision)
        self.tags = list(summaries)
        return torch.stack(list(summaries.values()), dim=-1), x, y

    def part(self, found, k):
        """What of it is model k's."""
        return found

    def gradient_norms(self):
        """Euclidean norm of each model's latest gradient."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        return [torch.nn.utils.get_total_norm(gradients).item()]

    def moments(self):
        """Adam's state for each model, by the parameter's number."""
        return [self.optimizer.state_dict()["state"]]


def update(model, optimizer, batch, precision="fp32"):
    """One step: forward, backward, Adam.

    Returns:
        The loss's summaries, detached.
    """
    with products(precision, batch[0].device):
        loss, summaries = model.loss(*batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {tag: value.detach() for tag, value in tensors(summaries, loss).items()}


def tensors(summaries, like):
    """Summaries as tensors; a solution may log plain numbers, 0 for a term it leaves out."""
    return {
        # A number is filled in where it lies, which a graph can replay.
        tag: value.to(like) if isinstance(value, torch.Tensor) else torch.full_like(like, value)
        for tag, value in summaries.items()
    }


def adam(model, lr=1e-3):
    """Adam with the default betas over what the model trains, fused where torch has that."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device.type
    fused = device in ("cpu", "cuda")
    return torch.optim.Adam(parameters, lr=lr, fused=fused, capturable=device == "cuda")
