import numpy as np
import pandas as pd
import pytest
from brian2 import ms, nA

from neuromod.errors import UserError
from neuromod.runs.compare import compare, compare_tables
from neuromod.runs.run import run


def by_column(table):
    return table.set_index("column").to_dict("index")


def test_a_run_equals_itself(tiny):
    one, two = run(tiny()), run(tiny())
    found = compare(one, two)
    assert found["settings"].empty
    assert found["circumstances"].empty
    assert not found["columns"].different.any()
    assert found["spikes"].identical.all()
    assert (found["spikes"].in_a > 0).all()


def test_differences_are_counted(tiny):
    one, two = run(tiny()), run(tiny(), tau_m=13.7 * ms, note="other")
    found = compare(one, two)
    settings = found["settings"].set_index("name")
    assert set(settings.index) == {"neuron.tau_m", "note"}
    assert settings.loc["neuron.tau_m"].tolist() == ["20 ms", "13.7 ms"]
    spikes = found["spikes"].iloc[0]
    assert not spikes.identical
    assert spikes.in_a - spikes.only_in_a == spikes.in_b - spikes.only_in_b
    columns = by_column(found["columns"])
    counts = [r.table.spikes.to_numpy() for r in (one, two)]
    assert columns["spikes"]["largest_difference"] == np.abs(counts[0] - counts[1]).max()
    assert columns["current_nA"]["different"] == 0


def test_settings_that_differ_in_a_late_digit_are_shown_in_full(tiny):
    found = compare(run(tiny(), tau_m=13.7 * ms), run(tiny(), tau_m=13.7000001 * ms))
    assert found["settings"].a[0] != found["settings"].b[0]


def test_rows_meet_by_their_conditions(tiny):
    one = run(tiny(), current=[0.613, 0.917] * nA)
    two = run(tiny(), current=[0.917, 0.613, 1.213] * nA)
    columns = by_column(compare(one, two)["columns"])
    assert columns["current_nA"] == {
        "rows": 2,
        "different": 0,
        "largest_difference": 0,
        "largest_relative": 0,
        "unmatched": 1,
        "of": "table.csv",
    }


def test_other_versions_and_devices_are_told(tiny):
    one, two = run(tiny()), run(tiny())
    two.info["device"] = "cpp"
    two.info["versions"]["numpy"] = "9.9"
    del two.info["versions"]["neo"]
    found = compare(one, two)["circumstances"].set_index("name")
    assert found.b.to_dict() == {"device": "cpp", "numpy": "9.9", "neo": "–"}


def test_runs_of_different_protocols_are_refused(tiny):
    one, two = run(tiny()), run(tiny())
    two.info["protocol"] = "other"
    with pytest.raises(UserError, match="run of tiny and a run of other"):
        compare(one, two)


def test_numbers_are_compared_by_magnitude():
    a = pd.DataFrame({"key": ["x", "y", "z"], "value": [1.0, -2.0, 0.0]})
    b = pd.DataFrame({"key": ["z", "x", "y"], "value": [0.0, 1.25, -2.5]})
    value = by_column(compare_tables(a, b))["value"]
    assert value["different"] == 2
    assert value["largest_difference"] == 0.5
    assert value["largest_relative"] == pytest.approx(0.2, rel=1e-15)


@pytest.mark.parametrize(
    ("a", "b", "different", "largest"),
    [
        ([np.nan, 1.5], [np.nan, 1.5], 0, 0),
        ([np.nan, 1.5], [0.5, 1.5], 1, np.inf),
        ([np.inf, 1.5], [np.inf, 1.5], 0, 0),
        ([np.inf, 1.5], [-np.inf, 1.5], 1, np.inf),
        ([1e-300, 0], [0, 0], 1, 1e-300),
    ],
)
def test_missing_and_infinite_numbers_count(a, b, different, largest):
    tables = (pd.DataFrame({"key": [1, 2], "value": values}) for values in (a, b))
    value = by_column(compare_tables(*tables))["value"]
    assert (value["different"], value["largest_difference"]) == (different, largest)


def test_texts_and_truths_are_compared_without_distance():
    a = pd.DataFrame({"key": [1, 2], "word": ["x", None], "right": [True, False]})
    b = pd.DataFrame({"key": [1, 2], "word": ["y", None], "right": [True, True]})
    columns = by_column(compare_tables(a, b))
    assert columns["word"]["different"] == columns["right"]["different"] == 1
    assert np.isnan(columns["word"]["largest_difference"])


def test_rows_that_no_column_tells_apart_are_compared_in_order():
    a, b = pd.DataFrame({"value": [1, 1, 2]}), pd.DataFrame({"value": [1, 3, 2]})
    assert by_column(compare_tables(a, b))["value"]["different"] == 1


def test_conditions_may_take_several_columns():
    a = pd.DataFrame({"method": ["nt1", "nt1", "tft"], "seed": [1, 2, 1], "score": [0.1, 0.2, 0.3]})
    value = by_column(compare_tables(a, a.iloc[::-1]))["score"]
    assert (value["rows"], value["different"], value["unmatched"]) == (3, 0, 0)


def test_empty_tables_are_equal():
    empty = pd.DataFrame({"key": [], "value": []})
    assert not compare_tables(empty, empty).different.any()
