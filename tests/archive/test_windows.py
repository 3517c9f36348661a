"""Windows in stored values and in rescaled ones."""

import pytest

from orthancproxy.archive.windows import FrameWindow, Window


@pytest.mark.parametrize(
    ("slope", "expected"), [(2.0, Window(21.0, 8.0)), (-2.0, Window(-19.0, 8.0)), (-0.5, Window(-4.0, 2.0))]
)
def test_a_rescaled_window_has_a_positive_width(slope: float, expected: Window) -> None:
    assert Window(10.0, 4.0).scaled(slope, 1.0) == expected


@pytest.mark.parametrize("slope", [1.0, -1.0, 3.0, -0.5])
def test_a_frame_of_one_value_is_black_also_where_the_slope_is_negative(slope: float) -> None:
    rescaled = Window.between(5.0, 5.0, slope).scaled(slope, 7.0)
    assert rescaled.center - rescaled.width / 2 >= 5.0 * slope + 7.0


def test_the_window_of_several_values_reaches_from_the_lowest_to_the_highest() -> None:
    assert Window.between(-3.0, 5.0, -1.0) == Window(1.0, 8.0)


@pytest.mark.parametrize(
    ("slope", "is_inverted", "black_and_white"),
    [(1.0, False, (8.0, 12.0)), (-1.0, False, (12.0, 8.0)), (1.0, True, (12.0, 8.0)), (-1.0, True, (8.0, 12.0))],
)
def test_a_negative_slope_and_an_inverted_frame_swap_black_and_white(
    slope: float, is_inverted: bool, black_and_white: tuple[float, float]
) -> None:
    window = Window(10.0, 4.0)
    frame = FrameWindow(window, window.scaled(slope, 0.0), slope)
    assert frame.greys(is_inverted=is_inverted) == black_and_white
