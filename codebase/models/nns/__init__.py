"""Networks the models are built from, by version: `nns.v1`."""

import re
from types import ModuleType

from codebase.models.nns import v1 as v1


def version(nn: str) -> ModuleType:
    """The networks of a version, by its name.

    Raises:
        ValueError: there is none of that name.
    """
    modules = ((name, found) for name, found in globals().items() if re.fullmatch(r"v\d+", name))
    known = {name: found for name, found in modules if isinstance(found, ModuleType)}
    if not isinstance(nn, str) or nn not in known:
        raise ValueError(
            f"nn names the version of the networks, {' or '.join(known)}, got {nn!r}; sizes are "
            "given by name, such as z_dim=10"
        )
    return known[nn]
