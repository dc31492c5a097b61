"""What a generator is told: hand-made cases."""

import pytest
import torch

from i2i.core.labels import LabelSet, LabelSpace, alike, misspelt, read_changes, with_planes
from i2i.errors import OptionsError

MOODS = LabelSet(("joy", "anger", "fear"), exclusive=True)
FACES = LabelSet(("black", "blond", "male", "young"), False, (("black", "blond"),))
ONE = LabelSpace((MOODS,))
BOTH = LabelSpace((FACES, MOODS))


def test_names_planes_and_targets() -> None:
    assert (ONE.planes, BOTH.planes) == (3, 4 + 3 + 2)
    assert BOTH.names == ("black", "blond", "male", "young", "joy", "anger", "fear")
    assert BOTH.targets == ("black", "blond", "male-reversed", "young-reversed", *MOODS.names)


def test_a_domain_replaces_whatever_was_there() -> None:
    labels = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert ONE.edited(labels, {"anger": True}).tolist() == [[0, 1, 0], [0, 1, 0]]
    assert not ONE.depends({"anger": True})


def test_attributes_keep_the_rest_and_groups_exclude_each_other() -> None:
    labels = torch.tensor([[1.0, 0, 1, 0, 0, 0, 0]])

    def edited(**changes: bool | None) -> list[float]:
        return BOTH.edited(labels, changes)[0].tolist()

    assert edited(blond=True) == [0, 1, 1, 0, 0, 0, 0, 1, 0]
    assert edited(blond=False) == [1, 0, 1, 0, 0, 0, 0, 1, 0]
    assert edited(male=None, young=None) == [1, 0, 0, 1, 0, 0, 0, 1, 0]
    assert edited(black=True, male=False, young=True) == [1, 0, 0, 1, 0, 0, 0, 1, 0]
    assert edited(fear=True) == [0, 0, 0, 0, 0, 0, 1, 0, 1]
    assert BOTH.depends({"blond": True})
    assert BOTH.depends({"black": True, "male": None, "young": True})
    assert not BOTH.depends({"black": True, "male": False, "young": True})
    assert labels.tolist() == [[1, 0, 1, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blont": True}, "Did you mean 'blond'"),
        ({"blond": True, "black": True}, "exclude each other"),
        ({"joy": True, "fear": True}, "exclude each other"),
        ({"joy": False}, "cannot just leave.*joy, anger, fear"),
        ({"joy": True, "male": True}, "a single data set"),
        ({}, "nothing cannot be asked for"),
        ({"blond": True, "black": None}, "exclude each other"),
        ({"male": -1}, r"male \(=-1\) must be true or 1"),
        ({"male": 0.5}, "male .=0.5. must be true or 1"),
        ({"male": "yes"}, "male .='yes'. must be true or 1"),
    ],
)
def test_what_cannot_be_asked_for(changes: dict[str, bool], message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        BOTH.edited(torch.zeros(1, 7), BOTH.changes(changes))


def test_what_is_reversed_ends_what_it_excludes_where_it_comes_to_hold() -> None:
    labels = torch.tensor([[1.0, 0, 1, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]])
    edited = BOTH.edited(labels, {"black": None})[:, :4]
    assert edited.tolist() == [[0, 0, 1, 0], [1, 0, 0, 1], [1, 0, 0, 0]]


def test_changes_are_told_as_text_or_with_numbers() -> None:
    assert read_changes("male=1, young=0") == {"male": True, "young": False}
    assert read_changes({"male": 1, "young": 0.0, "joy": None, "fear": False}) == {
        **{"male": True, "young": False, "joy": None, "fear": False},
    }
    assert BOTH.changes({"male": 1}) == {"male": True}
    for wrong, message in (
        ("male", "'male' is not NAME=1"),
        ("male=1,male=0", "both 0 and 1"),
        (["male"], "must be names with a value each"),
    ):
        with pytest.raises(OptionsError, match=message):
            read_changes(wrong)


def test_words() -> None:
    assert BOTH.changes("male") == {"male": True}
    assert BOTH.changes("male-reversed") == {"male": None}
    assert BOTH.changes("fear") == {"fear": True}
    assert BOTH.changes({"male": False}) == {"male": False}
    with pytest.raises(OptionsError, match=r"'angre'.*Did you mean 'anger'\? They are: black, .*"):
        BOTH.changes("angre")
    with pytest.raises(OptionsError, match="none of the domains"):
        BOTH.changes("joy-reversed")


def test_decisions_masks_and_planes() -> None:
    logits = torch.tensor([[3.0, -1, 0.1, -9, -5, -3, -4]])
    assert BOTH.decided(logits).tolist() == [[1, 0, 1, 0, 0, 1, 0]]
    mask = torch.tensor([[0.0, 1.0]])
    assert BOTH.known(mask).tolist() == [[0, 0, 0, 0, 1, 1, 1]]
    assert BOTH.condition(BOTH.decided(logits), mask).shape == (1, BOTH.planes)
    images = with_planes(torch.full((1, 3, 2, 4), 0.5), torch.tensor([[0.0, 1.0]]))
    assert images[0, :, 0, 0].tolist() == [0.5, 0.5, 0.5, 0, 1]
    assert (images == images[:, :, :1, :1]).all()


def test_names_that_are_nearly_the_same() -> None:
    names = ["Anger", "joy", "anger", "an ger", "cat", "cats", "1", "10", "!", "?"]
    assert alike(names) == [("Anger", "anger", "an ger"), ("cat", "cats")]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"anger": 12, "angerr": 2}, [("angerr", "anger")]),
        ({"angerr": 9, "anger": 9}, [("angerr", "anger")]),  # a doubled letter
        ({"winter": 9, "wniter": 9}, [("winter", "wniter")]),  # swapped ones
        ({"happiness": 9, "hapines": 8, "happinesd": 8}, [("happinesd", "happiness")]),
        ({"Sommer": 40, "Sömmer": 3}, [("Sömmer", "Sommer")]),
        ({"house": 9, "mouse": 9, "rose": 9, "nose": 8}, []),  # words that are like that
        ({"house": 40, "mouse": 10}, [("mouse", "house")]),
        ({"house": 0, "mouse": 0}, []),  # attributes, of which no count is known
        ({"class1": 400, "class2": 1, "day 10": 1, "day 11": 400, "night1": 4, "nights": 40}, []),
        ({"cat": 40, "car": 1, "a": 1, "b": 50}, []),
        ({"Anger": 1, "anger": 9}, []),  # which are alike
    ],
)
def test_names_that_look_like_typing_mistakes(
    counts: dict[str, int], expected: list[tuple[str, str]]
) -> None:
    assert misspelt(counts) == expected
