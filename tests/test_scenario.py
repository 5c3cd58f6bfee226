"""Scenario files: inheritance, overrides, and every fault named with its place and the way out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.errors import InputError, UsageError
from dcsim.model.load import load, schema, shipped
from dcsim.model.tree import dotted, dump, parse

BASE = "baseline-10mw-h100"


def write(tmp_path, text, name="plan.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def faults(tmp_path, text):
    with pytest.raises(InputError) as caught:
        load(write(tmp_path, text))
    return {problem.path: (problem.line, problem.message) for problem in caught.value.problems}


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_scenario_loads(name):
    assert load(name).scenario.name == name


def test_a_child_overrides_what_it_states_and_inherits_the_rest(tmp_path):
    child = load(write(tmp_path, f"extends: {BASE}\nname: b\nsite: {{utility_mw: 12.0}}\n"))
    base = load(BASE)
    assert child.scenario.site.utility_mw == 12.0
    assert child.scenario.site.tariff == base.scenario.site.tariff
    assert child.scenario.facility == base.scenario.facility


def test_another_kind_replaces_the_part_whole(tmp_path):
    text = f"extends: {BASE}\nfacility: {{cooling: {{kind: direct_liquid_dry_cooler}}}}\n"
    assert load(write(tmp_path, text)).scenario.facility.cooling.kind == "direct_liquid_dry_cooler"


def test_set_reaches_into_lists_and_mappings():
    scenario = load(BASE, ("facility.phases[1].rack_slots=7", "plan.years=3", "name=x")).scenario
    assert (scenario.facility.phases[1].rack_slots, scenario.plan.years, scenario.name) == (7, 3, "x")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("plan.years", "path=value"),
        ("facility.phases[9].rack_slots=1", "there is no 'facility.phases[9]'"),
        ("plan.years.deep=1", "there is no"),
        ("=1", "path=value"),
    ],
)
def test_a_set_that_reaches_nowhere_is_refused(text, says):
    with pytest.raises(UsageError, match=r".*") as caught:
        load(BASE, (text,))
    assert says in str(caught.value)


def test_a_set_that_breaks_a_rule_names_the_command_line_as_its_place():
    with pytest.raises(InputError) as caught:
        load(BASE, ("plan.years=0",))
    assert "plan.years: 0 is below the minimum 1" in str(caught.value)
    assert "stated in --set" in str(caught.value)


def test_all_faults_are_listed_at_once_with_line_rule_and_nearest_name(tmp_path):
    found = faults(
        tmp_path,
        f"""extends: {BASE}
plan:
  years: 0
  strat: 2027-01-01
site:
  utility_mw: ten
facility:
  cooling:
    kind: water_coled_economiser
  racks: {{feed_kw: -3}}
workload:
  jobs:
    kind: synthetic
    gpu_hours_share: {{training: -1.0}}
""",
    )
    assert found["plan.years"] == (3, "0 is below the minimum 1")
    assert found["plan.strat"] == (4, "'strat' is not a known key here; did you mean 'start'?")
    assert found["site.utility_mw"][0] == 6
    assert "'ten' is wrong" in found["site.utility_mw"][1]
    line, message = found["facility.cooling"]
    assert line == 8
    assert message == "'water_coled_economiser' is not a known kind; did you mean 'water_cooled_economiser'?"
    assert found["facility.racks.feed_kw"][1] == "-3 must be above 0"
    assert found["workload.jobs.gpu_hours_share.training"][0] == 14


def test_a_parameter_of_a_plant_outside_its_range_is_refused_in_its_place(tmp_path):
    found = faults(tmp_path, f"extends: {BASE}\nfacility:\n  cooling: {{supply_air_temp_c: 60.0, fann: 1}}\n")
    assert found["facility.cooling.supply_air_temp_c"][1].startswith("60.0 is above the maximum")
    assert "not a known key here" in found["facility.cooling.fann"][1]


def test_a_missing_key_says_what_it_means(tmp_path):
    found = faults(tmp_path, "name: a\nplan: {start: 2027-01-01}\n")
    assert found["site"] == (1, "is required")
    assert "economics" in found


def test_a_fault_of_the_base_names_the_base_file(tmp_path):
    write(tmp_path, f"extends: {BASE}\nplan: {{years: 99}}\n", "base.yaml")
    with pytest.raises(InputError, match=r"stated in base.yaml"):
        load(write(tmp_path, "extends: base.yaml\nname: c\n"))


def test_repeated_keys_are_all_named(tmp_path):
    found = faults(tmp_path, "name: a\nname: b\nplan:\n  years: 1\n  years: 2\n")
    assert found["name"] == (2, "this key already stands on line 1; keep one of them")
    assert found["plan.years"][0] == 5


@pytest.mark.parametrize("text", ["a: [1, 2\n", "- 1\n- 2\n", "", "a: b: c\n", "\tx: 1\n", "&a [*a]\n", "\0"])
def test_what_is_no_scenario_is_refused_with_its_line(tmp_path, text):
    with pytest.raises(InputError) as caught:
        load(write(tmp_path, text))
    assert len(caught.value.problems) == 1


def test_a_circle_of_extends_is_refused(tmp_path):
    write(tmp_path, "extends: b.yaml\n", "a.yaml")
    write(tmp_path, "extends: a.yaml\n", "b.yaml")
    with pytest.raises(InputError, match="break the circle"):
        load(tmp_path / "a.yaml")


def test_extending_what_does_not_exist_names_the_line(tmp_path):
    assert faults(tmp_path, "\nextends: nothing.yaml\n")["extends"][0] == 2


def test_a_missing_file_points_to_the_list():
    with pytest.raises(UsageError, match="dcsim scenario list"):
        load("no-such-plan.yaml")


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("plan: {start: 2027-01-15}", "plan", "first day of a month"),
        ("report: {interval_s: 700}", "report", "not one of 300"),
        ("site: {utility_mw: 4.0}", "", "above the 4 MW of site.utility_mw"),
    ],
)
def test_rules_between_keys_are_checked(tmp_path, text, place, says):
    assert says in faults(tmp_path, f"extends: {BASE}\n{text}\n")[place][1]


PHASE = """
facility:
  phases:
    - name: p
      utility_mw: 5.0
      rack_slots: 100
      construction: {{order: {a}, delivery: {b}}}
      hardware: {{order: 2026-06-01, delivery: 2026-12-01}}
      energised: {e}
"""


@pytest.mark.parametrize(
    ("a", "b", "e", "says"),
    [
        ("2026-01-01", "2025-01-01", "2027-01-01", "before order"),
        ("2025-01-01", "2027-06-01", "2027-01-01", "before the delivery of its construction"),
        ("2025-01-01", "2026-06-01", "2060-01-01", "outside the plan"),
    ],
)
def test_a_phase_cannot_come_before_its_delivery_or_outside_the_plan(tmp_path, a, b, e, says):
    text = f"extends: {BASE}\n" + PHASE.format(a=a, b=b, e=e)
    assert any(says in message for _, message in faults(tmp_path, text).values())


def test_yaml_12_reads_numbers_as_numbers(tmp_path):
    values = parse("a: 1.0e6\nb: yes\nc: 0o17\n", tmp_path / "x").values
    assert values == {"a": 1e6, "b": "yes", "c": 15}


def test_quoted_numbers_are_not_numbers(tmp_path):
    assert "site.utility_mw" in faults(tmp_path, f'extends: {BASE}\nsite: {{utility_mw: "10"}}\n')


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("abcd"), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("pqrs"), plain, max_size=4))
def test_what_is_dumped_is_read_back(values):
    if values:
        assert parse(dump(values), "x").values == values


def test_places_are_written_as_they_are_set():
    assert dotted(("facility", "phases", 1, "name")) == "facility.phases[1].name"


def test_the_schema_is_json_schema_with_every_plant():
    text = json.dumps(schema())
    for word in ("extends", "water_cooled_economiser", "direct_liquid_dry_cooler", "offered_load_frac"):
        assert word in text
    assert schema()["properties"]["site"]


def test_a_resolved_scenario_loads_to_itself(tmp_path):
    scenario = load(BASE).scenario
    again = load(write(tmp_path, dump(scenario.model_dump(mode="json")))).scenario
    assert again == scenario
