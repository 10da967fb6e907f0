"""pocket's words: a caption names its object and is made of the words taught, and facts hand on what was taught."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.backbone.facts import check_backbone, taught
from models.classes.pocket import CLASSES, TAUGHT


@given(st.sampled_from(CLASSES), st.integers(0, 2**32 - 1))
def test_a_random_caption_is_made_of_the_words_taught(category, seed):
    words = TAUGHT.caption(category.title(), np.random.default_rng(seed)).replace(",", "").split()
    assert category in words and set(words) <= {category, *TAUGHT.words}


def test_only_pocket_and_its_clip_were_taught_little(tiny_folders):
    assert check_backbone("pocket").taught is taught("pocket") is TAUGHT
    assert check_backbone(str(tiny_folders["sd1"])).taught is taught("ViT-B-32:openai") is taught("none") is None
