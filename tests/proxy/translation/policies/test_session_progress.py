"""The summary of a session: a function of the conversation alone."""

import pytest

from proxy.translation.canonical import Message, Request, Text, ToolCall, ToolResult
from proxy.translation.policies.session_progress import summary


def call(number, name, arguments="{}", **fields):
    return Message("assistant", (ToolCall(f"c{number}", name, arguments, **fields),))


def result(number, text="ok", *, is_error=False, user_texts=()):
    return Message("user", (ToolResult(f"c{number}", (Text(text),), is_error=is_error), *(Text(user_text) for user_text in user_texts)))


def request_of(*messages, system=""):
    return Request(model="m", messages=(Message("user", (Text("Fix the bug"),)), *messages), family="", system=(Text(system),))


def lines(request):
    return summary(request).splitlines()


def test_there_is_no_progress_note_before_any_tool_call():
    assert summary(request_of()) == ""
    assert summary(request_of(call(1, "Bash"))) == ""


def test_operations_directory_and_task():
    request = request_of(
        call(1, "Read", '{"file_path": "/srv/app/a.py"}'),
        result(1),
        call(2, "Bash", '{"command": "cd /srv/app && pytest -q"}'),
        result(2, "1 failed", is_error=True),
        call(3, "Read", '{"file_path": "/srv/app/b.py"}'),
        result(3),
    )
    assert summary(request) == (
        "<session_progress>\n"
        "Completed operations: 3 (Read 2, Bash 1)\n"
        "Latest:\n"
        "- Read: /srv/app/a.py\n"
        "- Bash: cd /srv/app && pytest -q (failed)\n"
        "- Read: /srv/app/b.py\n"
        "Working directory: /srv/app\n"
        "Current task: Fix the bug\n"
        "</session_progress>"
    )


@pytest.mark.parametrize(
    ("system", "messages", "directory"),
    [
        ("Working directory: /home/me/app\nPlatform: linux", (call(1, "Bash"), result(1)), "/home/me/app"),
        ("cwd=/home/me/app.", (call(1, "Bash"), result(1)), "/home/me/app"),
        ("", (Message("user", (Text("<environment_context>\n<cwd>/w x</cwd>\n</environment_context>"),)), call(1, "t"), result(1)), "/w x"),
        ("Working directory: /a", (call(1, "shell", '{"command": ["ls"], "workdir": "/b"}'), result(1)), "/b"),
        ("Working directory: /a", (call(1, "Bash", '{"command": "cd /b/c; cd /b/d && ls"}'), result(1)), "/b/d"),
        ("", (call(1, "Bash", '{"command": "pwd"}'), result(1, "/b/e\n")), "/b/e"),
        ("", (call(1, "Read", '{"path": "/x/y/a/1"}'), result(1), call(2, "Read", '{"path": "/x/y/b/2"}'), result(2)), "/x/y"),
        ("", (call(1, "Read", '{"path": "/x/1"}'), result(1), call(2, "Read", '{"path": "/z/2"}'), result(2)), None),
    ],
)
def test_the_working_directory_is_inferred(system, messages, directory):
    directory_lines = [line for line in lines(request_of(*messages, system=system)) if line.startswith("Working directory")]
    assert directory_lines == ([] if directory is None else [f"Working directory: {directory}"])


def test_the_task_is_the_last_user_text_without_what_programs_added():
    request = request_of(
        call(1, "t"), result(1, user_texts=("<system-reminder>\nBe good.\n</system-reminder>", "Now  add\ntests")), call(2, "t"), result(2)
    )
    assert lines(request)[-2] == "Current task: Now add tests"


def test_long_words_are_shortened_and_many_names_counted():
    messages = [message for number in range(12) for message in (call(number, f"tool{number:02}"), result(number))]
    request = request_of(*messages, call(99, "Bash", '{"command": "' + "x" * 500 + '"}'), result(99))
    summary_lines = lines(request)
    assert summary_lines[1].endswith("tool07 1, 5 others)")
    assert summary_lines[7] == "- Bash: " + "x" * 113 + "…"
    long = Request(model="m", messages=(Message("user", (Text("y" * 900),)), *messages[:2]), family="")
    assert lines(long)[-2] == "Current task: " + "y" * 399 + "…"


def test_invalid_arguments_and_free_text_count():
    request = request_of(call(1, "Bash", '{"comm'), result(1), call(2, "apply_patch", "*** Begin Patch", kind="custom"), result(2))
    assert lines(request)[1:5] == ["Completed operations: 2 (Bash 1, apply_patch 1)", "Latest:", "- Bash", "- apply_patch: *** Begin Patch"]
