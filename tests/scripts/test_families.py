import pytest

from export import families


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--dataset", "coco"], "--dataset needs --runs"),
        (["--max-drop", "0.5"], "--max-drop needs --runs and a --dataset"),
        (
            ["--runs", "runs", "--max-drop", "0.5"],
            "--max-drop needs --runs and a --dataset",
        ),
    ],
)
def test_options_that_contradict_each_other_end_with_a_line(arguments, rule, capsys):
    with pytest.raises(SystemExit):
        families.parse_args(arguments)
    assert rule in capsys.readouterr().err


def test_by_default_every_family_is_timed():
    cases = families.choose_cases(families.parse_args([]))
    assert {"hrnet", "vitpose", "rtmdet", "openpose"} <= {case.family for case in cases}
    assert all(case.weights is None for case in cases)


def test_no_name_leaves_random_weights_out():
    assert families.choose_cases(families.parse_args(["--models"])) == []
