import numpy as np
from matplotlib.figure import Figure

from neuromod.runs.picture import DPI, Picture


def figure(points=3):
    made = Figure(figsize=(3, 2), layout="constrained")
    axes = made.add_subplot()
    axes.plot(np.linspace(0, 1, points), np.linspace(0, 1, points) ** 2, "o-")
    axes.set_title("Résumé of 1 µM")
    axes.fill_between([0, 1], [0, 1])
    return made


def test_both_pictures_are_the_same_bytes_whenever_they_are_drawn():
    first, second = Picture(figure()), Picture(figure())
    assert first.png == second.png
    assert first.svg == second.svg
    assert b"<dc:date>" not in first.svg


def test_text_in_vectors_stays_text():
    assert "Résumé of 1 µM" in Picture(figure()).svg.decode()


def test_panels_stand_at_the_same_place_in_both_pictures():
    one, other = Picture(figure()), Picture(figure())
    assert other.svg == one.svg
    places = [axes.get_position().bounds for axes in (*one.figure.axes, *other.figure.axes)]
    assert places[0] == places[1]


def test_heavy_curves_are_pixels_in_vectors():
    few, many = Picture(figure(4000)), Picture(figure(40_000))
    assert b"<image" not in few.svg
    assert b"<image" in many.svg
    assert len(many.svg) < 100_000


def test_the_size_is_that_of_the_png():
    picture = Picture(figure())
    assert picture.size == (3 * DPI, 2 * DPI)
    header = picture.png[16:24]
    assert picture.size == (int.from_bytes(header[:4]), int.from_bytes(header[4:]))
