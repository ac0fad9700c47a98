import pytest

from keras_pose.exporting.subprocesses import ChildFailedError, call_in_child


def test_a_result_comes_back():
    assert call_in_child("math:hypot", 3, 4) == 5.0


@pytest.mark.parametrize(
    ("target", "arguments", "error", "message"),
    [
        pytest.param(
            "math:sqrt",
            [-1],
            ValueError,
            "expected a nonneg|domain",
            id="an_error_of_known_kind_is_raised_again",
        ),
        pytest.param(
            "os:listdir", ["/absent"], FileNotFoundError, "/absent", id="also_of_files"
        ),
        pytest.param("os:abort", [], ChildFailedError, "SIGABRT", id="a_crash_is_told"),
        pytest.param(
            "math:sqrt",
            ["a word"],
            ChildFailedError,
            "sqrt failed: TypeError",
            id="an_error_nobody_foresaw",
        ),
    ],
)
def test_what_fails_there_is_an_error_here(target, arguments, error, message):
    with pytest.raises(error, match=message):
        call_in_child(target, *arguments)


def test_time_and_memory_are_bounded():
    with pytest.raises(ChildFailedError, match=r"sleep took longer than 0\.5 s"):
        call_in_child("time:sleep", 60, timeout_seconds=0.5)
    with pytest.raises(ChildFailedError, match="MemoryError"):
        call_in_child("numpy:ones", 1 << 33, memory_bytes=4 << 30)
