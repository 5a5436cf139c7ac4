from billing.metrics import shared_values
from billing.metrics.exposition import Metrics
from billing.metrics.shared_values import OwnValues, Series

HELP = {"requests": "Requests.", "running": "Running.", "seconds": "Seconds."}


def rendered(directory):
    metrics = Metrics(HELP)
    metrics.add_shared(shared_values.read_all(directory))
    return metrics.render()


def test_values_of_a_process_are_read_with_their_series(tmp_path):
    own = OwnValues(tmp_path)
    requests = own.add("counter", "requests", {"path": "/v1"})
    seconds = own.add("histogram", "seconds", bounds=(1.0, 5.0))
    own.values[requests] += 2
    own.values[seconds + 2] += 1
    assert list(shared_values.read_all(tmp_path)) == [
        (Series("counter", "requests", {"path": "/v1"}, 1), [2.0], True),
        (Series("histogram", "seconds", {}, 2, (1.0, 5.0)), [0.0, 0.0, 1.0, 0.0], True),
    ]
    own.close()


def test_processes_are_summed_and_an_ended_one_keeps_its_counters_only(tmp_path):
    first, second = OwnValues(tmp_path), OwnValues(tmp_path)
    for own, number in ((first, 1), (second, 10)):
        own.values[own.add("counter", "requests", {"model": 'a"\n\\'})] = number
        own.values[own.add("gauge", "running")] = number
        start = own.add("histogram", "seconds", bounds=(0.5, 2.0))
        own.values[start] = number
        own.values[start + 1] = 2
        own.values[start + 3] = 0.25
    first.close()
    assert rendered(tmp_path).splitlines() == [
        "# HELP requests Requests.",
        "# TYPE requests counter",
        'requests{model="a\\"\\n\\\\"} 11',
        "# HELP running Running.",
        "# TYPE running gauge",
        "running 10",
        "# HELP seconds Seconds.",
        "# TYPE seconds histogram",
        'seconds_bucket{le="0.5"} 11',
        'seconds_bucket{le="2"} 15',
        'seconds_bucket{le="+Inf"} 15',
        "seconds_sum 0.5",
        "seconds_count 15",
    ]
    shared_values.clear(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    second.close()
    shared_values.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_series_without_room_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_values, "MAX_VALUES", 4)
    own = OwnValues(tmp_path)
    places = [own.add("counter", "requests", {"n": str(number)}) for number in range(5)]
    assert places == [1, 2, 3, 0, 0]
    own.values[0] += 1
    assert [series.labels["n"] for series, _, _ in shared_values.read_all(tmp_path)] == ["0", "1", "2"]
    own.close()
