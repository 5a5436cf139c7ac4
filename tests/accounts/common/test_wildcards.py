import pytest

from accounts.common.wildcards import fill, is_pattern, literal_length, match

MATCHES = [
    ("gpt-5", "gpt-5", ()),
    ("gpt-5", "gpt-5-mini", None),
    ("*", "anything", ("anything",)),
    ("*", "", ("",)),
    ("claude-*", "claude-", ("",)),
    ("claude-*", "Claude-3", None),
    ("claude-*haiku*", "claude-3-5-haiku-20241022", ("3-5-", "-20241022")),
    ("claude-*haiku*", "claude-haiku", ("", "")),
    ("claude-*haiku*", "claude-sonnet", None),
    ("*/*", "a/b/c", ("a", "b/c")),
    ("a*a", "a", None),
    ("a*a", "aa", ("",)),
    ("*-latest", "x-latest-latest", ("x-latest",)),
    ("a**b", "axb", ("", "x")),
    ("[x].?*", "[x].?y", ("y",)),
    ("*\n*", "a\nb", ("a", "b")),
]


@pytest.mark.parametrize(("pattern", "name", "stars"), MATCHES)
def test_each_star_takes_as_little_as_it_can_from_the_left(pattern, name, stars):
    assert match(pattern, name) == stars


def test_a_filled_pattern_is_the_name_that_it_matched():
    for pattern, name, stars in MATCHES:
        if stars is not None:
            assert fill(pattern, stars) == name


@pytest.mark.parametrize(
    ("template", "stars", "filled"),
    [
        ("literal", ("x",), "literal"),
        ("anthropic/claude-*", ("3",), "anthropic/claude-3"),
        ("*-*", ("a", "b"), "a-b"),
        ("*-*", ("a",), "a-"),
        ("*", (), ""),
        ("*:free", ("a", "b"), "a:free"),
    ],
)
def test_the_nth_star_is_replaced_by_the_nth_match(template, stars, filled):
    assert fill(template, stars) == filled


class Watched(str):
    """A name that counts how often it is searched."""

    __slots__ = ("searches",)

    def find(self, *args):
        self.searches += 1
        return super().find(*args)


@pytest.mark.parametrize("pattern", ["a*" * 200 + "b*", "*a*" * 50 + "b*"])
def test_no_name_of_a_client_makes_matching_slow(pattern):
    name = Watched("a" * 100_000)
    name.searches = 0
    assert match(pattern, name) is None
    assert 0 < name.searches <= pattern.count("*")


def test_patterns_and_their_literal_length():
    assert [(is_pattern(name), literal_length(name)) for name in ("gpt-5", "claude-*", "*")] == [(False, 5), (True, 7), (True, 0)]
