"""Networks the models are built from, by version: `nns.v1`."""

from codebase.models.nns import v1 as v1
