"""Pictures: grids of digits here, and every figure of a trained run in the modules beside."""

from codebase.figures.grids import grid as grid
from codebase.figures.grids import reconstructions as reconstructions
from codebase.figures.grids import save_confusion as save_confusion
from codebase.figures.grids import save_curves as save_curves
from codebase.figures.grids import save_grid as save_grid
