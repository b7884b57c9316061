"""What chapters share: the set-up, the profile, shares in words."""

import pytest
import torch

import mih_utils as mih


@pytest.fixture
def profile(monkeypatch):
    """profile(name) sets a chapter up in that profile."""

    def set_up(name):
        monkeypatch.setenv("MIH_PROFILE", name)
        return mih.notebook_setup()

    return set_up


def test_the_set_up_says_in_one_line_what_runs_where(profile, capsys, monkeypatch):
    monkeypatch.delenv("MIH_PROFILE", raising=False)
    assert mih.notebook_setup() == mih.Profile(False, "cpu")
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    for part in (mih.__version__, torch.__version__, "CPU", "quick"):
        assert part in said
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert profile("quick").device == "cpu"
    assert profile("full") == mih.Profile(True, "cuda")
    assert "Some GPU" in capsys.readouterr().out


def test_an_unknown_profile_is_refused(profile):
    with pytest.raises(ValueError, match=r"MIH_PROFILE is .fast.*must be"):
        profile("fast")


def test_the_profile_chooses_the_network():
    class Stored:
        net = "from the artifact"

        def retrained(self, device):
            return f"trained on {device}"

    assert mih.Profile(False, "cpu").network(Stored()) == "from the artifact"
    assert mih.Profile(True, "cuda").network(Stored()) == "trained on cuda"


def test_the_table_marks_this_run():
    for full in (False, True):
        shown = mih.Profile(full, "cpu").table([["net", "loaded", "trained"]])
        last = getattr(shown, "data", shown).strip().splitlines()[-1].split("|")
        assert ["✓" in last[2], "✓" in last[3]] == [not full, full]


def test_shares_in_words():
    assert mih.percent(0.951, (0.93, 0.97)) == "95.1% (93.0% – 97.0%)"
    low, high = mih.share_interval(3, 4)
    bad = torch.tensor([True, True, False, True])
    assert mih.percent_of(bad) == f"75.0% ({low:.1%} – {high:.1%})"
