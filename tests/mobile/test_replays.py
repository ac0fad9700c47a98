"""No core lags behind the parity pack unseen, whatever tools this machine has."""

import pytest
from mobile import replays


@pytest.mark.parametrize("core", replays.REPLAYED)
def test_each_core_last_replayed_the_pack_of_today(core):
    assert replays.last_replayed(core) == replays.pack_hash(), (
        f"The {core} core has not replayed mobile_demo/parity as it is: {replays.COMMAND}"
    )


def replay(core, passes):
    with replays.replay_of(core, is_recorded=True):
        assert passes


def test_only_a_replay_that_passes_is_recorded(tmp_path, monkeypatch):
    path = tmp_path / "REPLAYED"
    monkeypatch.setitem(replays.REPLAYED, "Swift", path)

    with pytest.raises(AssertionError):
        replay("Swift", passes=False)
    assert not path.exists()

    replay("Swift", passes=True)
    assert path.read_text() == f"{replays.pack_hash()}\n"


def test_a_replay_is_recorded_on_request_only(tmp_path, monkeypatch):
    path = tmp_path / "REPLAYED"
    monkeypatch.setitem(replays.REPLAYED, "Swift", path)

    with replays.replay_of("Swift", is_recorded=False) as num_cases:
        assert num_cases > 60

    assert not path.exists()


def test_a_pack_that_changes_meanwhile_is_not_recorded(tmp_path, monkeypatch):
    path = tmp_path / "REPLAYED"
    monkeypatch.setitem(replays.REPLAYED, "Swift", path)
    hashes = iter(["before", "after"])
    monkeypatch.setattr(replays, "pack_hash", lambda: next(hashes))

    with pytest.raises(AssertionError, match="changed while it was replayed"):
        replay("Swift", passes=True)

    assert not path.exists()
