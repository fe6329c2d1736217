"""A trained model to bytes and back, as numpy arrays without pickled objects: nothing in them can run."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict

import numpy as np

from app.routing.difficulty.model import DifficultyModel, Recipe
from app.routing.difficulty.trees import Trees
from app.routing.difficulty.words import HashedWords

FORM = 2  # of these bytes and of what the columns mean: one more whenever either changes
_ARRAYS = ("counts", "middle", "spread", "weights", "centre", "axes")
_NUMBERS = ("mean", "lowest", "highest")
_OF_TREES = ("edges", "columns", "limits", "leaves")


class Unusable(ValueError):
    """The bytes are not a model, or one of another form."""


def pack(model: DifficultyModel) -> bytes:
    arrays = {name: getattr(model, name) for name in _ARRAYS}
    arrays |= {"hashes": model.words.hashes, "rarities": model.words.weights}
    for i, forest in enumerate(model.trees):
        for j, trees in enumerate(forest):
            arrays |= {f"{name}-{i}-{j}": getattr(trees, name) for name in _OF_TREES}
    about = {
        "form": FORM,
        "names": model.names,
        "recipe": asdict(model.recipe),
        "unseen": model.words.unseen,
        "starts": [[trees.start for trees in forest] for forest in model.trees],
        **{name: getattr(model, name) for name in _NUMBERS},
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, about=np.asarray(json.dumps(about)), **arrays)
    return packed.getvalue()


def unpack(data: bytes) -> DifficultyModel:
    """Raises Unusable."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as kept:
            about = json.loads(str(kept["about"]))
            if about["form"] != FORM:
                raise Unusable(f"they are of form {about['form']}, this version reads {FORM}")
            return DifficultyModel(
                names=tuple(about["names"]),
                words=HashedWords(kept["hashes"], kept["rarities"], about["unseen"]),
                trees=tuple(
                    tuple(
                        Trees(**{n: kept[f"{n}-{i}-{j}"] for n in _OF_TREES}, start=start)
                        for j, start in enumerate(starts)
                    )
                    for i, starts in enumerate(about["starts"])
                ),
                recipe=Recipe(**about["recipe"]),
                **{name: kept[name] for name in _ARRAYS},
                **{name: about[name] for name in _NUMBERS},
            )
    except Unusable:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as e:
        raise Unusable("they are damaged") from e
