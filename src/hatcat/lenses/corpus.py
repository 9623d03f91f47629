"""The texts that lenses are trained on, and their states, kept on disk while they are being read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hatcat.concepts.pack import ConceptPack
from hatcat.engines.base import Engine
from hatcat.errors import PackError


@dataclass(frozen=True)
class Corpus:
    """Texts of all concepts. ``concept[i]`` is the index of text i's concept, ``positive[i]`` whether it expresses
    it (or is a contrast to it), ``fold[i]`` the cross-validation fold it is held out in. ``below[a, b]``: b is a kind
    of a."""

    texts: list[str]
    concept: NDArray[np.intp]
    positive: NDArray[np.bool_]
    fold: NDArray[np.intp]
    below: NDArray[np.bool_]

    FOLDS = 5

    @classmethod
    def of(cls, pack: ConceptPack, *, limit: int | None = None) -> Corpus:
        """Examples and contrasts of every concept, at most ``limit`` of either.

        Raises PackError for a concept with too few of them to hold some out.
        """
        texts, concept, positive, fold = [], [], [], []
        for i, item in enumerate(pack.concepts):
            if min(len(item.examples), len(item.contrasts)) < 2:
                raise PackError(f"concept {item.id!r} needs at least 2 examples and 2 contrasts to train a lens")
            for kind, members in ((True, item.examples), (False, item.contrasts)):
                for k, text in enumerate(members[:limit]):
                    texts.append(text)
                    concept.append(i)
                    positive.append(kind)
                    fold.append(k % cls.FOLDS)
        return cls(texts, np.array(concept), np.array(positive), np.array(fold), _below(pack))

    @property
    def related(self) -> NDArray[np.bool_]:
        """``[concepts, concepts]``: equal, or one above the other in the hierarchy."""
        result: NDArray[np.bool_] = self.below | self.below.T | np.eye(len(self.below), dtype=bool)
        return result

    def key(self) -> str:
        """Names the texts and their order."""
        return hashlib.sha256(json.dumps(self.texts).encode()).hexdigest()[:16]


def _below(pack: ConceptPack) -> NDArray[np.bool_]:
    """``[concepts, concepts]``: whether the second is somewhere below the first in the hierarchy."""
    place = {concept.id: i for i, concept in enumerate(pack.concepts)}
    result = np.zeros((len(place), len(place)), dtype=bool)
    for concept in pack.concepts:
        above, open_ids = set(), list(concept.parents)
        while open_ids:
            parent = open_ids.pop()
            if parent not in above:
                above.add(parent)
                open_ids += pack.by_id[parent].parents
        for parent in above:
            result[place[parent], place[concept.id]] = True
    return result


class Rows:
    """Float32 rows of one width in a file that only grows: a run that was killed goes on where it was."""

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._width = path, width
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.stat().st_size // (4 * width) if path.is_file() else 0
        with path.open("ab") as file:  # cut a row that a kill left half-written
            file.truncate(whole * 4 * width)
        self.count = whole

    def append(self, rows: NDArray[np.float32]) -> None:
        with self._path.open("ab") as file:
            file.write(np.ascontiguousarray(rows, dtype=np.float32).tobytes())
        self.count += rows.size // self._width

    def load(self) -> NDArray[np.float32]:
        return np.fromfile(self._path, dtype=np.float32).reshape(-1, self._width)


def collect(engine: Engine, corpus: Corpus, layers: Sequence[int], rows: Rows) -> Iterator[int]:
    """Read the corpus text by text from where ``rows`` stands, yielding how many are done. A row is the mean state
    over a text's tokens, ``layers × d`` numbers.

    The first position of a sequence works as an attention sink, with states unlike any other's (arXiv 2309.17453):
    texts are read behind the model's leading token, so that their own first word is a token like the rest.
    """
    lead = engine.lead
    for i in range(rows.count, len(corpus.texts)):
        ids = engine.tokenize(corpus.texts[i], bos=False)
        if not ids:
            raise PackError(f"this text has no tokens: {corpus.texts[i]!r}")
        states = engine.read([*lead, *ids][: engine.info.context], layers)[len(lead) :]
        rows.append(states.mean(axis=0).reshape(-1))
        yield i + 1
