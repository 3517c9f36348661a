"""Windows in stored values and in rescaled ones."""

import pytest

from orthancproxy.archive.windows import Window


@pytest.mark.parametrize(
    ("slope", "expected"), [(2.0, Window(21.0, 8.0)), (-2.0, Window(-19.0, 8.0)), (-0.5, Window(-4.0, 2.0))]
)
def test_a_rescaled_window_has_a_positive_width(slope: float, expected: Window) -> None:
    assert Window(10.0, 4.0).scaled(slope, 1.0) == expected
