"""Spoiled copies of good files, for hypothesis to draw."""

import io
import zipfile

from hypothesis import strategies as st


@st.composite
def spoiled(draw, good):
    """Up to six edits of one of the good contents: bytes changed, cut, put in, doubled, cut off."""
    content = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(len(content) - 1, 0)))
        end = start + draw(st.integers(0, 16))
        match draw(st.sampled_from(["change", "cut", "insert", "double", "truncate"])):
            case "change":
                content[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
            case "cut":
                del content[start:end]
            case "insert":
                content[start:start] = draw(st.binary(max_size=16))
            case "double":
                content[start:start] = content[start:end]
            case "truncate":
                del content[start:]
    return bytes(content)


@st.composite
def repacked(draw, good):
    """A zip file one of whose parts is spoiled, with the checksums right again."""
    with zipfile.ZipFile(io.BytesIO(draw(st.sampled_from(good)))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    pickles = [name for name in parts if name.endswith(".pkl")]
    # The pickle twice as often as all the others together: there is most to go wrong with.
    name = draw(st.sampled_from(pickles) if draw(st.integers(0, 2)) else st.sampled_from([*parts]))
    parts[name] = draw(spoiled([parts[name]]))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return packed.getvalue()


@st.composite
def other_values(draw, good, values):
    """A nest of dicts, lists and leaves like the good one, but for some nodes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(values)
    if isinstance(good, dict):
        kept = {
            k: draw(other_values(v, values)) for k, v in good.items() if draw(st.integers(0, 30))
        }
        return kept | draw(st.dictionaries(st.text(max_size=3) | st.integers(), values, max_size=1))
    if isinstance(good, list):
        return [draw(other_values(v, values)) for v in good]
    return good
