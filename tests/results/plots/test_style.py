"""What holds for every picture."""

from pathlib import Path

import pytest
from matplotlib.axis import Tick
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from ntkbench.results.plots import style
from ntkbench.results.plots.plot import DRAWN, plot, results_of_store
from ntkbench.store import store
from tests.examples import factory
from tests.examples.findings import depths, studies
from tests.results.plots.test_transfer import runs, study


@pytest.fixture(
    scope="module",
    params=[pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)],
    ids="{} cells".format,
)
def figures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Figure]:
    folder = tmp_path_factory.mktemp("store")
    found = list(studies(folder, depths(*range(1, request.param + 1))).values())
    every = [run for n in range(request.param) for width in (32, 128) for run in runs(width, 2, regime="x" * (n + 1))]
    found.append(study(folder / "transfer", every, every))
    with style.applied():
        return {
            f"{each.kind}-{picture.name}": picture.figure
            for each in found
            for picture in DRAWN[each.kind](each, each.chosen(()))
        }


def test_every_picture_is_as_wide_as_a_column_and_no_higher_than_a_page(figures: dict[str, Figure]):
    for name, figure in figures.items():
        width, height = figure.get_size_inches()
        assert width == style.WIDTH, name
        assert 0.5 < height < 9, name


def test_all_letters_have_seven_points_and_lie_inside(figures: dict[str, Figure]):
    for name, figure in figures.items():
        figure.draw_without_rendering()
        # Ticks outside of the limits are made, but not drawn.
        ticks = {text for tick in figure.findobj(Tick) for text in tick.findobj(Text)}
        texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().strip()]
        assert {float(text.get_fontsize()) for text in texts} == {7.0}, name
        for text in texts:
            box, within = text.get_window_extent(), figure.bbox.padded(3)
            inside = within.x0 <= box.x0 <= box.x1 <= within.x1 and within.y0 <= box.y0 <= box.y1 <= within.y1
            assert inside or text in ticks or not text.get_visible(), (name, text)


def test_every_picture_of_curves_says_what_its_axes_are(figures: dict[str, Figure]):
    for name, figure in figures.items():
        if "features" in name or "overlap" in name or "angle" in name:
            continue
        axes = figure.axes[0]
        assert figure.get_supxlabel() or axes.get_xlabel(), name
        assert figure.get_supylabel() or axes.get_ylabel(), name


def test_colors_can_be_told_apart_in_gray_and_from_white():
    bright = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(to_rgb, style.COLORS)]
    assert max(bright) < 0.7
    assert len(set(style.MARKERS)) == len(set(style.COLORS)) == 6


@pytest.mark.parametrize("form", [pytest.param(f, marks=() if f == "svg" else pytest.mark.slow) for f in style.FORMATS])
def test_the_same_records_are_the_same_file(form: str, tmp_path: Path):
    run = depths(1)
    studies(tmp_path, run)
    (results,) = results_of_store(store.Store(tmp_path))
    first, second = (
        plot([results], tmp_path / "records", tmp_path / name, form=form, analyses=["eigen"]) for name in "ab"
    )
    assert [path.name for path in first] == [path.name for path in second]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_settings_of_the_user_change_nothing(tmp_path: Path):
    import matplotlib

    factory.store(tmp_path / "records", factory.planned(factory.cell(), [0]))
    (results,) = results_of_store(store.Store(tmp_path))
    (plain, _) = plot([results], tmp_path / "records", tmp_path / "a")
    with matplotlib.rc_context({"font.size": 20, "savefig.dpi": 50, "axes.facecolor": "red"}):
        (other, _) = plot([results], tmp_path / "records", tmp_path / "b")
        assert matplotlib.rcParams["font.size"] == 20
    assert plain.read_bytes() == other.read_bytes()
