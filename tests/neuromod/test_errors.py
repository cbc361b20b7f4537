import pytest

from neuromod.errors import UserError, short, unknown


def test_near_names_are_offered():
    error = unknown("setting", "tua_m", ["tau_m", "C", "v_rest"])
    assert str(error) == "There is no setting named 'tua_m': did you mean tau_m?"


def test_all_names_are_listed_where_none_is_near():
    error = unknown("device", "abacus", ["cpp", "cython"])
    assert str(error) == "There is no device named 'abacus'; there are cpp, cython."


def test_hundreds_of_names_are_not_listed():
    error = unknown("unit", "xyzzy", [f"quux{n}" for n in range(300)])
    assert str(error) == "There is no unit named 'xyzzy'."


def test_user_errors_are_value_errors():
    with pytest.raises(ValueError, match="no"):
        raise UserError("no")


def test_long_values_are_shortened():
    assert short("clocked") == "'clocked'"
    assert short("ab" * 300) == f"'{'ab' * 19}a...{'b' + 'ab' * 19}'"
    assert short(7**400) == "an integer of 1123 bits"
    assert short([0.7] * 81) == "a list of 81 values"
    assert len(str(unknown("unit", "mz" * 9000, ["mV"]))) < 200
