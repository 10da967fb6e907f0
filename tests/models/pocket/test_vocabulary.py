"""pocket's tokenizer: whole words, split classes, round trips through CLIP's file formats."""

from pathlib import Path

from transformers import CLIPTokenizer

from models.pocket import vocabulary
from models.pocket.export import _write_tokenizer
from models.pocket.scenes import BACKGROUNDS, CLASSES, COLOURS, LIGHTS, STYLES, VIEWS, render


def test_every_word_is_one_token_but_the_split_classes() -> None:
    tokenizer = vocabulary.tokenizer()
    for word in (*vocabulary.FUNCTION_WORDS, *CLASSES, *COLOURS, *BACKGROUNDS, *LIGHTS, *VIEWS, *STYLES):
        assert len(tokenizer.tokenize(word)) == (2 if word in vocabulary.SPLIT else 1), word


def test_captions_fit_and_decode_back() -> None:
    tokenizer = vocabulary.tokenizer()
    for i in range(50):
        text = render(6, i).caption
        ids = tokenizer(text).input_ids
        assert len(ids) <= vocabulary.CONTEXT_LENGTH
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ,", ",") == text


def test_the_classic_files_give_the_same_tokens(tmp_path: Path) -> None:
    _write_tokenizer(tmp_path)
    classic = tmp_path / "classic"
    classic.mkdir()
    for name in ("vocab.json", "merges.txt"):
        (classic / name).write_bytes((tmp_path / name).read_bytes())
    texts = [render(7, i).caption for i in range(20)] + ["", "café, Ω unknown words! 12", "MUSHROOM"]
    expected = vocabulary.tokenizer()(texts).input_ids
    for folder in (tmp_path, classic):
        assert CLIPTokenizer.from_pretrained(folder)(texts).input_ids == expected


def test_stop_is_the_highest_id() -> None:
    """open_clip reads the text vector at the largest id, which must be the sentence's end."""
    assert max(vocabulary.tokens().values()) == vocabulary.tokens()[vocabulary.STOP]
