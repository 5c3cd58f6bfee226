import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcsim.physics import dry_coolers

HEATS, AIRS = st.floats(0.01, 1.2), st.floats(-20, 45)


def test_full_speed_at_the_design_approach():
    speed = dry_coolers.speed_frac_for([1.0, 1.0, 0.5], 40.0, [32.0, 24.0, 32.0], design_approach_k=8.0)
    np.testing.assert_allclose(speed, [1.0, 0.5**1.1, 0.5**1.1])


@given(HEATS, AIRS, st.floats(0, 10), st.floats(0, 0.5))
def test_fans_turn_faster_for_more_heat_and_hotter_air(heat, dry, hotter, more):
    speed = dry_coolers.speed_frac_for([heat, heat + more, heat], 45.0, [dry, dry, dry + hotter], design_approach_k=8.0)
    assert speed[1] >= speed[0]
    assert speed[2] >= speed[0]


@given(HEATS, st.floats(-20, 39.8))
def test_the_set_point_is_held_exactly_while_full_speed_is_enough(heat, dry):
    speed = float(dry_coolers.speed_frac_for(heat, 40.0, dry, design_approach_k=8.0))
    leaving = float(dry_coolers.leaving_c(heat, 40.0, dry, design_approach_k=8.0))
    if speed <= 1:
        assert leaving == pytest.approx(40.0)
    else:
        assert leaving == pytest.approx(dry + 8.0 * heat) and leaving >= 40.0 - 1e-9
