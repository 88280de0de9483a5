"""The colours of figures and explorer. Imports nothing: who draws in a browser needs no more."""

# Okabe & Ito's, told apart by colour-blind readers: black, orange, sky, green, yellow, blue,
# vermillion, purple.
EIGHT = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73"),
    *("#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
)
_BLACK, _ORANGE, _SKY, _GREEN, _YELLOW, _BLUE, _VERMILLION, _PURPLE = EIGHT
GREY = "#999999"
# Ten digits need more, and yellow is faint on white: olive and wine are Paul Tol's.
DIGITS = (
    *(_BLUE, _ORANGE, _GREEN, _VERMILLION, _PURPLE, _SKY, _BLACK),
    *("#999933", GREY, "#882255"),
)
