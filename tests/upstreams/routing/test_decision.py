from upstreams.routing.decision import Choice, Skip, SkipReason, decision_rows


def test_rows_of_the_log_have_only_the_names_that_apply():
    choice = Choice(text="session kept", model="m-1", upstream="first", credential="main")
    skips = [
        Skip(reason=SkipReason.COOLING, text="cooling for 3.0 s", model="m-1", upstream="second", credential=""),
        Skip(reason=SkipReason.NOT_SERVED, text="the route is switched off", model="m-1", upstream="third"),
        Skip(reason=SkipReason.MODEL_NOT_FOUND, text="no such model, or it is switched off", model="other"),
    ]
    assert decision_rows(choice, skips) == [
        {"upstream": "first", "key": "main", "model": "m-1", "chosen": "session kept"},
        {"upstream": "second", "key": "", "model": "m-1", "skipped": "cooling for 3.0 s"},
        {"upstream": "third", "model": "m-1", "skipped": "the route is switched off"},
        {"model": "other", "skipped": "no such model, or it is switched off"},
    ]
    assert decision_rows(None, []) == []
