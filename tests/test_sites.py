"""Requests of regions on sites: none is lost, each order is best at what it minimises, and the way counts."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from test_cli import refused

from dcsim.errors import InputError, RangeError
from dcsim.study.sizing.cli import size
from dcsim.study.sizing.sites import ORDERS, lines, load, place, record, shipped

EXAMPLE = shipped()["three-sites"]


@pytest.fixture(scope="module")
def of():
    return load(EXAMPLE)


@pytest.fixture(scope="module")
def placed(of):
    return place(of)


def changed(tmp_path, *pairs):
    text = EXAMPLE.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "sites.yaml"
    path.write_text(text)
    return load(path)


def test_every_request_is_answered_or_counted(of, placed):
    asked = sum(region.per_s for region in of.regions.values()) * 288
    for one in placed.values():
        assert one.per_s.sum() + one.unanswered_per_s.sum() == pytest.approx(asked, rel=1e-9)
        assert one.per_s.min() > -1e-9


def test_no_site_uses_more_gpus_than_it_has(of, placed):
    for one in placed.values():
        for j, site in enumerate(of.sites.values()):
            assert one.gpus[j].max() <= site.gpus


def test_each_order_is_least_in_what_it_minimises(of, placed):
    found = record(of, placed)
    of_order = {"latency": "network_s", "price": "energy_usd_per_year", "carbon": "carbon_t_per_year"}
    for order, key in of_order.items():
        assert found[order][key] == min(found[other][key] for other in ORDERS)


def test_a_region_goes_only_where_a_way_is_stated(placed):
    # europe is the second region, iowa the third site.
    assert all(one.per_s[1, 2].max() == 0 for one in placed.values())


def test_demand_follows_the_local_day(placed):
    by_hour = placed["latency"].per_s.sum(axis=(1, 2))
    america, europe = by_hour.argmax(axis=1)
    # A plateau from 10 to 16 local time is 15 to 21 UTC in America and 9 to 15 in Europe.
    assert 15 <= america <= 21
    assert 9 <= europe <= 15


def test_a_limit_that_a_far_site_cannot_keep_keeps_requests_near(tmp_path):
    found = place(changed(tmp_path, ("ttft_p95_s: 0.6", "ttft_p95_s: 0.36"), ("europe: 0.09", "europe: 0.35")))
    assert found["price"].per_s[1, 0].max() == 0


def test_too_few_gpus_leave_requests_unanswered_and_all_in_use(tmp_path):
    of = changed(tmp_path, ("gpus: 64", "gpus: 8"), ("gpus: 48", "gpus: 8"))
    found = place(of)
    for one in found.values():
        assert one.unanswered_per_s.sum() > 0
        busiest = np.unravel_index(one.unanswered_per_s[0].argmax(), (12, 24))
        assert one.gpus[(slice(None), *busiest)].sum() == 24


def test_the_command_prints_both_forms(of, placed):
    shown = "\n".join(lines(of, placed))
    body = json.loads(CliRunner().invoke(size, ["sites", "three-sites", "--json"], catch_exceptions=False).stdout)
    assert set(body) == set(ORDERS)
    assert all(order in shown for order in ORDERS)
    shares = body["price"]["sites"]
    total = sum(site["answered_frac"] for site in shares.values()) + body["price"]["unanswered_frac"]
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("old", "new", "say"),
    [
        ("model: llama3.1-70b", "modl: llama3.1-70b", "did you mean 'model'"),
        ("ttft_p95_s: 0.6, ", "", "ttft_p95_s is required"),
        ("america: 0.03", "asia: 0.03", "not a known region"),
        ("    carbon: pjm-2022\n", "", "state one of kg_per_kwh and carbon"),
        ("pue: 1.25", "pue: 0.5", "below the minimum"),
        ("gpus: 64", "gpus: many", "must be"),
    ],
)
def test_files_that_are_wrong_are_refused_with_their_line(tmp_path, old, new, say):
    with pytest.raises(InputError) as refusal:
        changed(tmp_path, (old, new))
    assert say in str(refusal.value)
    assert "line" in str(refusal.value)


def test_sites_without_room_for_a_replica_are_refused(tmp_path):
    with pytest.raises(RangeError, match="GPUs of a replica"):
        place(changed(tmp_path, ("gpus: 64", "gpus: 2"), ("gpus: 48", "gpus: 2")))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert "three-sites comes with dcsim" in refused(tmp_path, "size", "sites", "nowhere.yaml")
