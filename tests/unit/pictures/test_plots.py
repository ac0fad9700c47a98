"""Learning curves."""

import numpy as np
import pytest

from keras_pose.pictures.plots import plot_run, plot_runs, plot_tables, read_log

LOG = "epoch,loss,pck,val_ap,val_loss,val_pck\n0,3,0.1,nan,4,0.2\n1,2,0.3,0.25,3,0.4\n"


def test_columns_are_read_and_gaps_are_nan(tmp_path):
    (tmp_path / "log.csv").write_text(LOG)
    log = read_log(tmp_path)
    assert log["loss"].tolist() == [3, 2]
    np.testing.assert_array_equal(log["val_ap"], [np.nan, 0.25])


@pytest.mark.slow
def test_a_panel_is_drawn_for_each_quantity_that_was_measured(tmp_path):
    (tmp_path / "log.csv").write_text(LOG)
    with_ap = plot_run(tmp_path)
    (tmp_path / "log.csv").write_text(LOG.replace("0.25", "nan"))
    without_ap = plot_run(tmp_path)
    assert with_ap.dtype == np.uint8
    assert with_ap.std() > 10
    assert without_ap.shape[1] == pytest.approx(with_ap.shape[1] * 2 / 3, abs=2)
    (tmp_path / "log.csv").write_text(LOG.replace("val_ap", "val_pckh@0.5"))
    assert plot_run(tmp_path).shape[1] == pytest.approx(with_ap.shape[1], abs=2)


@pytest.mark.slow
def test_runs_of_other_lengths_have_a_panel_for_each_quantity(tmp_path):
    for name, log in (("a", LOG), ("b", "epoch,loss\n0,3\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.csv").write_text(log)
    together = plot_runs({name: tmp_path / name for name in "ab"})
    assert together.shape[1] == plot_run(tmp_path / "a").shape[1]
    with pytest.raises(FileNotFoundError, match=r"log\.csv"):
        plot_runs({"gone": tmp_path / "gone"})


@pytest.mark.parametrize(
    ("content", "error"), [(None, FileNotFoundError), ("epoch,loss\n", ValueError)]
)
def test_a_folder_without_a_log_is_refused(tmp_path, content, error):
    if content:
        (tmp_path / "log.csv").write_text(content)
    with pytest.raises(error, match=r"log\.csv"):
        read_log(tmp_path)


@pytest.mark.slow
def test_every_table_becomes_a_chart_and_nan_a_gap():
    tables = {
        "PCKh@0.5": {"nose": 0.5, "left_knee": float("nan")},
        "AP by OKS threshold": {"0.50": 0.9, "0.55": 0.8},
    }
    charts = plot_tables({"a.keras": tables, "b.tflite": {}}, "a title")
    assert set(charts) == set(tables)
    assert all(picture.std() > 10 for picture in charts.values())


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match=r"a\.keras"):
        plot_tables({"a.keras": {}})
