"""A trained model's networks as ONNX files, for programs that know no PyTorch."""

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import nn

from codebase.errors import UserError
from codebase.files import disk
from codebase.models.base import Model
from codebase.models.distributions import Bernoulli
from codebase.runs.saved import SavedRun, open_run

OPSET = 18
ADVICE = "python -m pip install onnx onnxscript"

Asked = Callable[..., dict[str, torch.Tensor]]  # (model, *inputs) → {output: (B, …)}


class Part(nn.Module):
    """One of a model's distributions, as a network that gives the numbers which describe it.

    Args:
        model: whose weights are used.
        asked: (model, *inputs) → {output: (B, …)}.
        inputs: {name: width}.
    """

    def __init__(self, model: Model, asked: Asked, inputs: dict[str, int]) -> None:
        super().__init__()
        self.model, self.asked, self.inputs = model, asked, inputs
        self.examples = tuple(torch.zeros(2, width) for width in inputs.values())
        self.outputs = list(asked(model, *self.examples))

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.asked(self.model, *inputs).values())


def write_all(runs: Sequence[str], step: int | None = None) -> None:
    """Writes each run's networks into its folder and says where (see `write`).

    Args:
        runs: names or folders.
        step: of the checkpoint; the last one by default.
    Raises:
        UserError: a run cannot be opened, or as `write`.
    """
    for run in runs:
        write(open_run(run, step))


def write(opened: SavedRun) -> None:
    """Writes a run's networks into its folder and says where.

    | file | inputs | outputs |
    |---|---|---|
    | encoder.onnx | x (B, D), with labels y one-hot (B, Y) | mean, variance (B, Z) |
    | decoder.onnx | z (B, Z), with labels y one-hot (B, Y) | logits, probabilities (B, D) |
    | classifier.onnx | x (B, D) | logits, probabilities (B, Y) |

    Each as far as the model has it; of pixels that are not binary the decoder gives the mean.

    Raises:
        UserError: a file cannot be written, the packages are missing, or ONNX has no words for
            what the model computes.
    """
    for name, part in _parts(opened.model.eval(), opened.x_dim):
        content = _exported(name, part)
        path = opened.folder / f"{name}.onnx"
        with disk.atomic(path) as file:
            file.write(content)
        print(f"{path}: {', '.join(part.inputs)} → {', '.join(part.outputs)}")


def _parts(model: Model, x_dim: int) -> Iterator[tuple[str, Part]]:
    """(file, network) of everything that was trained."""
    label = {"y": model.y_dim} if model.y_dim else {}
    if model.abilities.reconstructions:
        yield "encoder", Part(model, _posterior, {"x": x_dim} | label)
        yield "decoder", Part(model, _likelihood, {"z": model.z_dim} | label)
    if model.abilities.classifier:
        yield "classifier", Part(model, _label_posterior, {"x": x_dim})


def _posterior(model, x, *y):
    q = model.posterior(x, *y)
    return {"mean": q.mean, "variance": q.variance}


def _likelihood(model, z, *y):
    p = model.likelihood(z, *y)
    if isinstance(p, Bernoulli):
        return {"logits": p.logits, "probabilities": p.mean}
    return {"mean": p.mean}


def _label_posterior(model, x):
    logits = model.label_posterior(x).logits
    return {"logits": logits, "probabilities": logits.softmax(-1)}


def _exported(name, part):
    """The ONNX file's bytes; the batch may be of any size."""
    # Named once: the exporter finds out, and warns, that a second input's batch is the same.
    shapes = ({0: torch.export.Dim("batch")}, {0: torch.export.Dim.AUTO})[: len(part.inputs)]
    try:
        program = torch.onnx.export(
            part.eval(),
            part.examples,
            input_names=list(part.inputs),
            output_names=part.outputs,
            dynamic_shapes=(shapes,),  # of forward's one argument, *inputs
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    except ImportError as error:
        raise UserError(f"--export onnx needs packages that are missing; {ADVICE}.") from error
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"The {name} cannot be written as ONNX: {reason}") from error
    return cast(torch.onnx.ONNXProgram, program).model_proto.SerializeToString()
