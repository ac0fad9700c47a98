import pytest

from keras_pose.runtime.instructions import instructions, machine, machine_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("flags\t: avx avx2\n", "AVX2, no dot product of bytes", id="avx2"),
        pytest.param(
            "flags : avx2 avx512f avx512_vnni amx_int8\n",
            "AVX2, AVX-512, AVX-512 VNNI, AMX int8",
            id="server",
        ),
        pytest.param("Features\t: fp asimd asimddp\n", "NEON, dot product", id="phone"),
        pytest.param("model name : avx2\n", "unknown instructions", id="no_list"),
    ],
)
def test_instructions_are_read_from_the_systems_list(tmp_path, text, expected):
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\n" + text)
    assert instructions(path) == expected


def test_a_system_without_a_list_is_unknown(tmp_path):
    assert instructions(tmp_path / "none") == "unknown instructions"


def test_times_stand_beside_this_machine_or_those_that_measured():
    assert machine().endswith(f" cores, {instructions()}")
    assert machine_line() == f"machine     {machine()}"
    assert machine_line("a", "", "a") == "machine     a; not known"
