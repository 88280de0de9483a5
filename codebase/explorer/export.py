"""A trained model's networks as ONNX files, for programs that know no PyTorch."""

import torch
from torch import nn

from codebase.errors import UserError
from codebase.files import disk
from codebase.runs.saved import open_run

OPSET = 18
ADVICE = "python -m pip install onnx onnxscript"


class _Scores(nn.Module):
    """A network's logits, and the probabilities that `squash` makes of them."""

    def __init__(self, net, squash):
        super().__init__()
        self.net, self.squash = net, squash

    def forward(self, a, y=None):
        logits = self.net(a) if y is None else self.net(a, y)
        return logits, self.squash(logits)


def write_all(runs, step=None):
    """Writes each run's networks into its folder and says where.

    | file | inputs | outputs |
    |---|---|---|
    | encoder.onnx | x (B, 784), y one-hot (B, Y) for an SSVAE | mean, variance (B, Z) |
    | decoder.onnx | z (B, Z), y one-hot (B, Y) for an SSVAE | logits, probabilities (B, 784) |
    | classifier.onnx (SSVAE) | x (B, 784) | logits, probabilities (B, Y) |

    Args:
        runs: names or folders.
        step: of the checkpoint; the last one by default.
    Raises:
        UserError: a run cannot be opened, a file cannot be written, or the packages are missing.
    """
    for run in runs:
        opened = open_run(run, step)
        for name, network, widths, outputs in _parts(opened.model):
            content = _exported(network, widths, outputs)
            path = opened.folder / f"{name}.onnx"
            with disk.atomic(path) as file:
                file.write(content)
            print(f"{path}: {', '.join(widths)} → {', '.join(outputs)}")


def _parts(model):
    """(file, network, {input: width}, outputs) of every network that was trained."""
    label = {"y": model.y_dim} if hasattr(model, "cls") else {}
    if getattr(model, "gen_weight", 1) != 0:
        yield "encoder", model.enc, {"x": 784, **label}, ["mean", "variance"]
        yield "decoder", _Scores(model.dec, nn.Sigmoid()), {"z": model.z_dim, **label}, _SCORES
    if label:
        yield "classifier", _Scores(model.cls, nn.Softmax(-1)), {"x": 784}, _SCORES


_SCORES = ["logits", "probabilities"]


def _exported(network, widths, outputs):
    """The ONNX file's bytes; the batch may be of any size."""
    inputs = tuple(torch.zeros(2, width) for width in widths.values())
    # Named once: the exporter finds out, and warns, that a second input's batch is the same.
    shapes = [{0: torch.export.Dim("batch")}, {0: torch.export.Dim.AUTO}][: len(inputs)]
    try:
        program = torch.onnx.export(
            network.eval(),
            inputs,
            input_names=list(widths),
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    except ImportError as error:
        raise UserError(f"--export onnx needs packages that are missing; {ADVICE}.") from error
    return program.model_proto.SerializeToString()
