"""What the family's models are put together from: one part of each axis. Imports no torch.

A part is a class of a file of `models/` named after its axis, and stands in the file of this room
with that name, the VAE's first, behind the flags that it reads. A flag chooses it, `--prior
realnvp` for example, and brings those flags. What cannot go together is said in a sentence.
"""

from collections.abc import Mapping
from typing import Any

from codebase.axes import likelihoods, nets, objectives, posteriors, priors
from codebase.axes.part import Part
from codebase.errors import UserError
from codebase.flag import Flag

AXES: dict[str, tuple[Part, ...]] = {
    "prior": priors.PARTS,
    "posterior": posteriors.PARTS,
    "likelihood": likelihoods.PARTS,
    "objective": objectives.PARTS,
    "net": nets.PARTS,
}
_WHAT = {
    "prior": "p(z)",
    "posterior": "q(z|x)",
    "likelihood": "p(x|z)",
    "objective": "what is minimized",
    "net": "the networks",
}


def flags(parts: Mapping[str, str]) -> tuple[Flag, ...]:
    """A flag for each axis, and those that parts read.

    Args:
        parts: {axis: name of the part} of the axes whose default is not the VAE's.
    """
    found = {
        axis: Flag(
            axis,
            f"{_WHAT[axis]}: " + "; ".join(f"{part.name}, {part.line}" for part in choices),
            default=parts.get(axis, choices[0].name),
            choices=tuple(part.name for part in choices),
            metavar="NAME",
        )
        for axis, choices in AXES.items()
    }
    for choices in AXES.values():
        for part in choices:
            found |= {flag.name: flag for flag in part.flags}
    return tuple(found.values())


def chosen(values: Mapping[str, Any]) -> dict[str, Part]:
    """{axis: the part that the flags choose}.

    Args:
        values: {flag: value}; an axis that is not there is the VAE's.
    """
    return {
        axis: next(part for part in choices if part.name == values.get(axis, choices[0].name))
        for axis, choices in AXES.items()
    }


def read(values: Mapping[str, Any]) -> set[str]:
    """Names of the flags that the chosen parts read."""
    return {flag.name for part in chosen(values).values() for flag in part.flags}


def unread(values: Mapping[str, Any]) -> set[str]:
    """Names of the flags that only parts read which are not chosen."""
    every = {f.name for choices in AXES.values() for part in choices for f in part.flags}
    return every - read(values)


def check(values: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Looks whether the parts go together, and every flag that was changed is read by one.

    Args:
        values: {flag: value}.
        usual: {flag: its default}.
    Raises:
        UserError: they do not, or it is not.
    """
    parts = chosen(values)
    for axis, part in parts.items():
        for other, needed in part.needs.items():
            if needed not in parts[other].has:
                able = [p.name for p in AXES[other] if needed in p.has]
                raise UserError(
                    f"--{axis} {part.name} does not go with --{other} {parts[other].name}: it "
                    f"needs {needed}, as --{other} {' or '.join(able)} has."
                )
    if values.get("sigma") == "optimal" and objectives.SAMPLES in parts["objective"].flags:
        raise UserError(
            f"--sigma optimal does not go with --objective {parts['objective'].name}, which weighs "
            "samples: that s² is the best for their plain mean. Use --sigma learned."
        )
    everyone = [(axis, part) for axis, choices in AXES.items() for part in choices]
    seen = read(values)
    for name in {flag.name: None for _, part in everyone for flag in part.flags}:
        if name not in seen and name in values and values[name] != usual.get(name):
            readers = [f"--{a} {p.name}" for a, p in everyone if name in {f.name for f in p.flags}]
            raise UserError(
                f"--{name} {values[name]} changes nothing here: it is for {' or '.join(readers)}."
            )
