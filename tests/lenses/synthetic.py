"""Small made-up lens packs and concept packs: quick to build, with every part that a real one has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hatcat.concepts.pack import Concept, ConceptPack, PackHeader
from hatcat.lenses.calibrate import tables
from hatcat.lenses.pack import FORMAT, Card, Header, LensPack

SOURCE = "ab" * 32
RUNTIME = "0123456789abcdef"


def lens_pack(
    concepts: Sequence[str] = ("a", "b", "c"),
    *,
    layers: Sequence[int] = (2, 5),
    width: int = 8,
    runtime: str = RUNTIME,
    source: str = SOURCE,
    window: int = 4,
    seed: int = 0,
) -> LensPack:
    """Random lenses, calibrated on 60 benign answers of 24 tokens of Gaussian states."""
    rng = np.random.default_rng(seed)
    n = len(concepts)
    card = Card(auroc=0.9, auroc_random=0.95, text_control=0.8, n_positive=10, n_negative=6)
    header = Header(
        format=FORMAT, pack="tiny", pack_version="1", model="made-up", source=source, layers=list(layers),
        text_window=window, concepts=list(concepts), cards=[card] * n,
        runtimes={runtime: {"tokens": 60 * 24, "block_tokens": 48}},
    )  # fmt: skip
    pack = LensPack(
        header,
        rows=normal(rng, len(layers), n, width), bias=normal(rng, n),
        text_rows=normal(rng, n, width), text_bias=normal(rng, n), calibrations={},
    )  # fmt: skip
    activation = [pack.score(normal(rng, 24, len(layers), width)) for _ in range(60)]
    text = [pack.score_text(normal(rng, 24, width) / 2) for _ in range(60)]
    pack.calibrations[runtime] = tables(activation, text, 48)
    return pack


def normal(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Float32 of the values that a pack keeps exactly (halves survive the file's float16)."""
    return rng.standard_normal(shape).astype(np.float16).astype(np.float32)


def concept_pack(*, related: bool = False) -> ConceptPack:
    """Four concepts of short texts; with ``related`` all of them stand in one line of descent."""
    concepts = []
    for i, (name, examples, contrasts) in enumerate(_TEXTS):
        parents = (_TEXTS[i - 1][0],) if related and i else ()
        tags = ("safety",) if name in {"war", "music"} else ()
        concepts.append(
            Concept(
                id=name,
                name=name.title(),
                parents=parents,
                domain="test",
                definition=f"About {name}.",
                examples=examples,
                contrasts=contrasts,
                tags=tags,
            )
        )
    return ConceptPack(PackHeader(name="tiny", version="1", licence="CC0-1.0", source="test"), tuple(concepts))


_TEXTS = [
    (
        "food",
        ("She baked fresh bread.", "We ate rice and beans.", "The soup needs salt."),
        ("He ate his words.", "Food for thought, no more.", "They cooked the books."),
    ),
    (
        "war",
        ("Soldiers stormed the bridge.", "The army shelled the town.", "Tanks crossed the border."),
        ("A price war among shops.", "She fought a cold.", "He shot three photographs."),
    ),
    (
        "music",
        ("The choir sang a hymn.", "He tuned his violin.", "A drum beat the rhythm."),
        ("Face the music, she said.", "They drummed up support.", "It struck a chord."),
    ),
    (
        "sea",
        ("Waves broke on the reef.", "The tide came in fast.", "Ships left the harbour."),
        ("A sea of faces.", "He surfed the web.", "Tides of opinion turn."),
    ),
]
