"""Oversubscribed sites: more servers on the same power, and a refusal where they would draw it at once."""

import pytest
from plans import small

from dcsim import pipeline, runs
from dcsim.errors import CapacityError

LIQUID = ("facility.server=hgx-h100-8-dlc", "facility.cooling={kind: direct_liquid_dry_cooler}")
# Slots enough for more servers.
SLOTS = ("facility.phases[0].rack_slots=60", "facility.phases[1].rack_slots=60")


def ran(tmp_path, *sets):
    return runs.read(pipeline.run(small(*SLOTS, *sets), tmp_path))


@pytest.mark.parametrize("sets", [(), LIQUID], ids=["air", "liquid"])
def test_the_same_power_carries_more_servers_that_never_exceed_a_rating(tmp_path, sets):
    plain = ran(tmp_path / "a", *sets)
    over = ran(tmp_path / "b", *sets, "facility.power_oversubscription=1.1")
    assert plain.kpis["it_peak_frac"]["value"] < 1 / 1.1
    added = over.kpis["gpus_installed"]["value"] / plain.kpis["gpus_installed"]["value"]
    assert 1.04 < added <= 1.1
    assert plain.kpis["it_peak_frac"]["value"] < over.kpis["it_peak_frac"]["value"] <= 1.0
    assert over.kpis["peak_facility_power_mw"]["value"] <= 1.0
    last = over.findings["phases"][-1]
    assert last["design_it_mw"] <= last["critical_mw"]


def test_the_highest_share_is_that_of_the_rating_that_stands(tmp_path):
    run = ran(tmp_path)
    first, second = (phase["critical_mw"] * 1e6 for phase in run.findings["phases"])
    it_w, start_s = run.intervals["it_power_w"], run.intervals["start_s"]
    before = start_s < 181 * 86400
    by_hand = max(it_w[before].max() / first, it_w[~before].max() / second)
    assert run.kpis["it_peak_frac"]["value"] == pytest.approx(by_hand)


def test_a_site_whose_jobs_draw_more_than_it_carries_is_refused(tmp_path):
    with pytest.raises(CapacityError, match="power_oversubscription from 2"):
        ran(tmp_path, "facility.power_oversubscription=2.0", "workload.jobs.offered_load_frac=1.5")
