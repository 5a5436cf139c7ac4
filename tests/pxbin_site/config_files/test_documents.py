import pytest

from pxbin_site.config_files.documents import ConfigFileError, parse


def test_json_with_comments_and_final_commas_keeps_the_lines_of_its_values():
    document = parse('{\n  // the port\n  "port": 1,\n\t"models": [\n    "a", /* b */\n    {"name": "c",},\n  ],\n}\n', "config.json")
    assert document.value == {"port": 1, "models": ["a", {"name": "c"}]}
    assert [document.line(steps) for steps in [(), ("port",), ("models", 1, "name"), ("models", 7, "x"), ("none",)]] == [1, 3, 6, 4, 1]
    assert document.place(("models", 1, "name")) == "config.json, line 6: models[1].name"


def test_yaml_keeps_the_lines_of_its_values():
    document = parse("port: 1\nmodels:\n  - name: a\n    tags: [x,\n      y]\n", "config.yaml")
    assert document.value == {"port": 1, "models": [{"name": "a", "tags": ["x", "y"]}]}
    assert [document.line(steps) for steps in [("models",), ("models", 0), ("models", 0, "tags", 1)]] == [2, 3, 5]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('{"a": 1,\n "b" 2}', "c.json", "c.json, line 2: is not JSON: a colon is expected after 'b'"),
        ('{"a": [1 2]}', "c.json", "c.json, line 1: is not JSON: a comma or ] is expected"),
        ('{"a": \n}', "c.json", "c.json, line 2: is not JSON: expecting value"),
        ('{"a": 1, "a": 2}', "c.json", "c.json, line 1: is not JSON: a is given twice"),
        ('{"a": 1} x', "c.json", "c.json, line 1: is not JSON: there is more after the end of the value"),
        ("[" * 200, "c.json", "c.json, line 1: is not JSON: is nested too deeply"),
        ("a: 1\na: 2\n", "c.yaml", "c.yaml, line 2: a is given twice"),
        ("a: [1\nb: 2\n", "c.yaml", "c.yaml, line 2: is not YAML: did not find expected ',' or ']'"),
        ("a: !!python/object:os.system x\n", "c.yaml", "c.yaml, line 1: is not YAML: could not determine a constructor"),
    ],
)
def test_errors_name_the_line(text, path, message):
    with pytest.raises(ConfigFileError) as refused:
        parse(text, path)
    assert str(refused.value).startswith(message.split(" did not")[0])


def test_anchors_that_multiply_are_refused():
    text = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    with pytest.raises(ConfigFileError, match="has too many values"):
        parse(text, "bomb.yaml")
