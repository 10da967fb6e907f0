"""ImageNet's merged categories: every class once, every category in use, named as open_clip names them."""

from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

from models.classes.imagenet import FOLDER, common_categories, labels, merged
from models.classes.scenes import GROUPS
from models.config.build import BuildConfig
from models.prompts.grammar import Grammar


def test_every_class_index_has_its_name_and_one_category():
    rows = [line.split("\t") for line in (FOLDER / "imagenet.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    assert [int(index) for index, _, _ in rows] == list(range(1000))
    assert [name for name, _ in labels()] == list(IMAGENET_CLASSNAMES)


def test_the_categories_are_those_in_use():
    phrases, groups = merged()
    listed = [line.split("\t")[0] for line in (FOLDER / "categories.tsv").read_text("utf-8").splitlines()[1:]]
    assert 150 <= len(phrases) <= 300 and len(set(listed)) == len(listed)
    assert {category for _, category in labels()} == set(phrases)
    assert set(listed) == set(phrases) | set(common_categories())
    assert set(groups.values()) <= GROUPS.keys()


def test_alike_labels_are_merged_and_unlike_ones_of_one_name_are_not():
    category = {i: labels()[i][1] for i in range(1000)}
    assert {category[i] for i in range(151, 269)} == {"dog"}
    assert sum(c == "dog" for c in category.values()) == 118
    assert {category[i] for i in range(281, 286)} == {"cat"} and category[292] == "tiger"
    assert {category[i] for i in range(321, 327)} == {"butterfly"}
    assert category[134] != category[517] == "construction crane"
    assert category[657] == category[744] and category[836] == category[837]


def test_a_build_of_the_merged_categories_names_each_in_its_prompts():
    config = BuildConfig(backbone="a/b", classes="imagenet-merged", count=1, screen={"clip": "none"})
    assert config.classes == tuple(merged()[0])
    grammar = Grammar.of(config, None)
    for i in range(3 * len(config.classes)):
        planned = grammar.plan(i)
        assert planned.phrase in config.phrases_of(planned.category) and planned.phrase in planned.prompt
    again = BuildConfig.model_validate(config.model_dump(mode="json", by_alias=True))
    assert again == config and Grammar.of(again, None) == grammar
