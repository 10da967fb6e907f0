"""What pretraining refuses before it starts."""

import pytest

from flows.checks.pretrain import check_pretrain
from models.errors import UserError
from models.pocket.config import PretrainConfig


def test_only_earlier_weights_are_replaced(tmp_path):
    check_pretrain(PretrainConfig(), tmp_path / "new")
    (tmp_path / "training.json").write_text("{}")
    check_pretrain(PretrainConfig(), tmp_path)
    (tmp_path / "training.json").rename(tmp_path / "thesis.tex")
    with pytest.raises(UserError, match=r"not empty \(thesis\.tex\) and holds no pretrained weights"):
        check_pretrain(PretrainConfig(), tmp_path)
    assert (tmp_path / "thesis.tex").exists()
