"""What GeNN generates is compiled with constants that no write can change."""

from neuromod.devices.genn.compiling import copy_constants, optimising

GENERATED = """\
for(unsigned int g = 0; g < 1; g++) {
    const auto *group = &mergedNeuronUpdateGroup0[g];
    group->u_v[i] = exp(-dt/group->u_tau);
}
"""


def test_the_code_of_a_group_gets_a_copy_of_its_own(tmp_path):
    update = tmp_path / "neuronUpdate.cc"
    update.write_text(GENERATED)
    copy_constants(update)
    own = "const auto own = mergedNeuronUpdateGroup0[g]; const auto *group = &own;"
    assert update.read_text() == GENERATED.replace(
        "const auto *group = &mergedNeuronUpdateGroup0[g];", own
    )


def test_the_compiler_that_is_asked_for_comes_with_brian2_s_options(monkeypatch):
    monkeypatch.setenv("CXX", "clang++-17")
    first, *options = optimising().split()
    assert first == "clang++-17"
    assert any(option.startswith("-O") for option in options)
