import pytest

from upstreams.echo import directives
from upstreams.echo.directives import Directives, EchoError


def test_a_prompt_without_directives_is_left_as_it_is():
    assert directives.read("  hello [echoes] \n") == ("  hello [echoes] \n", Directives())


def test_directives_are_taken_out_of_the_prompt():
    assert directives.read("say hello [echo pace_ms=2.5 chunks=20]") == ("say hello", Directives(pace_ms=2.5, chunks=20))


def test_several_directives_add_up_and_quoted_values_are_json_strings():
    prompt = '[echo status=529 retry_after=3] [echo message="too \\"busy\\" ] \\u00e9"]'
    assert directives.read(prompt) == ("", Directives(status=529, retry_after=3.0, message='too "busy" ] é'))


@pytest.mark.parametrize(
    ("directive", "complaint"),
    [
        ("[echo sleep=3]", "echo: unknown directive 'sleep'; known: " + ", ".join(sorted(directives._READERS))),
        (
            "[echo status=200]",
            "echo: bad value 200 for the directive 'status': expected an error status from 400 to 599",
        ),
        (
            "[echo stop=never]",
            "echo: bad value never for the directive 'stop': expected one of end, length, refusal, pause, context",
        ),
        ("[echo pace_ms=-1]", "echo: bad value -1 for the directive 'pace_ms': expected a number that is not negative"),
        ("[echo pace_ms=nan]", "echo: bad value nan for the directive 'pace_ms': expected a number that is not negative"),
        ("[echo refuse=maybe]", "echo: bad value maybe for the directive 'refuse': expected one of yes, no"),
        ("hi [echo chamber] there", "echo: cannot read the directive '[echo chamber] there'; write [echo name=value]"),
    ],
)
def test_an_invalid_directive_is_refused(directive, complaint):
    with pytest.raises(EchoError) as refused:
        directives.read(directive)
    assert (refused.value.status, refused.value.message) == (400, complaint)


def test_every_directive_is_implemented():
    assert sorted(directives._READERS) == sorted(Directives.__struct_fields__)
