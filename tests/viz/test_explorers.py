"""The book's explorers show what the core computes, and say what brute force counts."""

import re

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pytest
import torch
from conftest import refusal

import mih_utils as mih

MIX = mih.GaussianMixture.line([1, 2, 3], std=0.05)
SCHEDULE = mih.Schedule.linear(100, 5e-3, 0.3)
EXACT = mih.ExactDenoiser(MIX, SCHEDULE)
GRID = mih.GaussianMixture.grid(3, spacing=2, std=0.05).standardised()


def wrong(x_t, t):
    """A denoiser whose chains all end half-way between two modes."""
    alpha_bar = SCHEDULE.alpha_bar[t]
    return (x_t - alpha_bar.sqrt() * 1.5) / (1 - alpha_bar).sqrt()


def test_reverse_chains_are_those_of_the_sampler():
    starts = torch.linspace(-2, 2, 61, dtype=torch.float64)
    found = mih.reverse_chains_explorer(MIX, SCHEDULE, wrong, starts, frames=12)
    for name, net in (("exact", EXACT), ("learned", wrong)):
        out = mih.sample(
            net,
            SCHEDULE.ddim(),
            61,
            (1,),
            x_T=starts[:, None],
            observe=[mih.Keep("x_t")],
            progress=False,
        )
        sigma = (1 - SCHEDULE.alpha_bar).sqrt().flip(0).numpy()  # of the steps as they are kept
        paths, noise_left = found.arrays[name], found.arrays["noise_left"]
        assert paths.shape == (61, len(noise_left))
        for frame, level in enumerate(noise_left[:-1]):
            step = np.abs(sigma - level).argmin()
            assert sigma[step] == pytest.approx(level)
            np.testing.assert_allclose(paths[:, frame], out.x_t[step, :, 0].numpy(), rtol=1e-9)
        np.testing.assert_allclose(paths[:, -1], out.x[:, 0].numpy(), rtol=1e-9)
        assert noise_left[-1] == 0
        flags = found.arrays[f"{name}_lost"]
        assert (flags[:, 0] == (MIX.distance(out.x) > 6).numpy()).all()
    assert found.arrays["learned_lost"].all()
    assert found.arrays["exact_lost"].mean() < 0.1
    assert (np.diff(found.arrays["noise_left"]) < 0).all()
    (slider,) = found.controls
    assert slider.values == pytest.approx(starts.tolist(), abs=1e-6)
    bundles = [[min(max(i + 3 * row, 0), 60) for row in range(-4, 5)] for i in range(61)]
    lost = found.arrays["learned_lost"][:, 0]
    assert slider.marks == [i for i, bundle in enumerate(bundles) if lost[bundle].any()]
    assert len(slider.ticks) == len(found.readout) == 61
    assert 0 <= slider.start < 61
    assert 'class="mih-explorer"' in found._repr_html_()


@pytest.mark.parametrize("networks", [1, 2, 4])
def test_staircase_shows_the_exact_denoiser_and_the_networks(networks):
    levels = [0, 5, 40]
    signal = SCHEDULE.alpha_bar[levels].sqrt().numpy()
    x_t = signal[:, None] * np.linspace(-1, 5, 80)
    learned = np.random.default_rng(0).normal(2, 0.1, size=(networks, 3, 80))
    settings = [f"setting {i}" for i in range(networks)]
    found = mih.staircase_explorer(MIX, SCHEDULE, levels, x_t, learned, "length", settings)
    for row, level in enumerate(levels):
        shown = 2 - row  # from noise to data
        alpha_bar = float(SCHEDULE.alpha_bar[level])
        exact = MIX.posterior_mean(torch.from_numpy(x_t[row])[:, None], alpha_bar)[:, 0].numpy()
        np.testing.assert_allclose(found.arrays["exact"][shown], exact, rtol=1e-9)
        np.testing.assert_array_equal(found.arrays["learned"][:, shown], learned[:, row])
        gap = learned[:, row] - exact
        np.testing.assert_allclose(found.arrays["gap"][:, shown], gap, rtol=1e-9)
    noise, trained = found.controls
    assert noise.ticks == ["t = 40", "t = 5", "t = 0"]
    assert trained.ticks == settings
    assert len(found.readout) == 3 * networks
    for i, sentence in enumerate(found.readout):  # the last slider runs fastest
        assert f"t = {levels[2 - i // networks]}," in sentence
        assert settings[i % networks] in sentence
    assert 'class="mih-explorer"' in found._repr_html_()


def test_the_staircase_marks_the_largest_error_where_there_are_steps():
    """The slider runs from much noise to little; errors at more noise than that are no matter."""
    levels = [0, 5, 20, 60]
    alpha_bar = SCHEDULE.alpha_bar[levels]
    assert [bool(a < 0.5) for a in alpha_bar] == [False, False, True, True]  # noise above 1
    x_t = alpha_bar.sqrt().numpy()[:, None] * np.linspace(-1, 5, 80)
    rows = zip(torch.from_numpy(x_t), alpha_bar, strict=True)
    exact = np.stack([MIX.posterior_mean(x[:, None], float(a))[:, 0].numpy() for x, a in rows])
    off = np.array([[0.1, 0.2, 0.3, 0.9], [0.4, 0.2, 0.3, 0.9]])[:, :, None]
    found = mih.staircase_explorer(MIX, SCHEDULE, levels, x_t, exact + off, "net", ["a", "b"])
    noise = found.controls[0]
    assert [[noise.ticks[p] for p in marks] for marks in noise.marks] == [["t = 5"], ["t = 0"]]
    assert [chip.at for chip in found.chips] == [{0: 3, 1: 1}, {0: 2, 1: 0}]


# In the plane


@pytest.fixture(scope="module")
def chains():
    """Chains of the exact denoiser, kept at some steps, of which 7 were moved off the modes."""
    generator = torch.Generator().manual_seed(0)
    steps = [0, 3, 10, 40, 99]
    out = mih.sample(
        mih.ExactDenoiser(GRID, SCHEDULE),
        SCHEDULE.ddpm(),
        60,
        (2,),
        observe=[mih.Keep(name, steps=steps) for name in ("x_t", "x0_hat")],
        generator=generator,
        progress=False,
    )
    out.x[:7] = GRID.means[0] + 8 * GRID.std
    out.x0_hat[-2:, :7] = out.x[:7]
    return out, steps


def numbers(sentence):
    return [int(number.replace(",", "")) for number in re.findall(r"(?<![.\d])\d[\d,]*", sentence)]


def test_plane_chains_are_those_of_the_sampler(chains):
    out, steps = chains
    lost = (GRID.distance(out.x) > 6).numpy()
    assert lost.sum() == 7
    found = mih.plane_chains_explorer(GRID, SCHEDULE, out, steps)
    for name, kept in (("x_t", out.x_t), ("x0_hat", out.x0_hat)):
        path = torch.cat([kept, out.x[None]]).double().numpy()
        for kind, chosen in (("lost", lost), ("others", ~lost)):
            drawn = np.stack([found.arrays[f"{name} {kind} {axis}"] for axis in "xy"], axis=-1)
            # in another order, but each with its whole path; what is outside stands at the border
            order = np.lexsort(drawn[-1].T), np.lexsort(path[-1, chosen].T)
            drawn, real = drawn[:, order[0]], path[:, chosen][:, order[1]]
            _, high = found.panels[1].x
            inside = (
                (np.abs(real) < high).all(axis=-1)
                if name == "x0_hat"
                else np.isfinite(real[..., 0])
            )
            np.testing.assert_array_equal(drawn[inside], real[inside])
            at = np.abs(drawn[~inside]).max(axis=-1)
            np.testing.assert_allclose(at, 0.985 * high, rtol=1e-6)
            np.testing.assert_allclose(
                np.arctan2(*drawn[~inside].T), np.arctan2(*real[~inside].T), rtol=1e-6
            )
    slider, groups = found.controls
    # they were moved along a diagonal of the grid, towards the mode in its middle
    corner, middle = (f"{m:.2f}".replace("-", "−") for m in GRID.means[[0, 4], 0].tolist())
    bridge = f"7 between ({corner}, {corner}) and ({middle}, {middle})"
    assert groups.ticks == ["all of them", bridge]
    assert found.readout[1].endswith(f"those that end {bridge[2:]}.")
    assert found.panels[0].picks.segments == [GRID.means[[0, 4]].flatten().tolist()]
    assert slider.ticks == ["t = 99", "t = 40", "t = 10", "t = 3", "t = 0", "samples"]
    assert slider.play
    assert slider.start == 3  # where the moved ones are first told apart
    for panel in found.panels:
        assert panel.square
        assert [line.role for line in panel.lines] == ["learned", "hallucination"]
        assert [[mark["x"], mark["y"]] for mark in panel.marks] == GRID.means.tolist()
        assert {mark["radius"] for mark in panel.marks} == {6 * GRID.std}


def test_an_astronomical_prediction_costs_the_others_no_precision(chains):
    """At the highest noise x0_hat is noise over next to no signal; the page has 16 bits for all."""
    out, steps = chains
    out.x0_hat[0] *= 1e20
    found = mih.plane_chains_explorer(GRID, SCHEDULE, out, steps)
    low, high = found.panels[1].x
    for name, array in found.arrays.items():
        if name.startswith("x0_hat"):
            assert np.ptp(array) / 65_000 < 1e-3 * (high - low)
    both = [found.arrays[f"x0_hat others {axis}"][0] for axis in "xy"]
    np.testing.assert_allclose(np.abs(both).max(axis=0), 0.985 * high)  # at the panel's border
    assert "Outside the panel, and drawn at its border: 60." in found.readout[0]
    assert found.controls[0].play_from == 1  # where there is something to see


@pytest.mark.parametrize("k", [3.0, 6.0, 20.0])
def test_plane_chains_sentences_count_the_chains(chains, k):
    out, steps = chains
    found = mih.plane_chains_explorer(GRID, SCHEDULE, out, steps, k=k)
    lost = [float(d) > k for d in GRID.distance(out.x)]
    sentences = found.readout[:: len(found.controls[1].ticks)]  # of all chains
    for i, t in enumerate(sorted(steps, reverse=True)):
        far = [float(d) > k for d in GRID.distance(out.x0_hat[i])]
        bad = sum(f and at_end for f, at_end in zip(far, lost, strict=True))
        start, end = sentences[i].split("Outside")[0].split("every mode in ")
        alpha_bar = float(SCHEDULE.alpha_bar[t])
        assert start.startswith(f"t = {t}, ")
        noise = np.sqrt(1 / alpha_bar - 1) / GRID.std
        assert (f"{noise:.1f}σ: " if noise < 10_000 else "without any signal left: ") in start
        assert numbers(end) == [bad, sum(lost), sum(far) - bad, 60 - sum(lost)]
    first, last = sentences[-1].split("every mode")
    assert numbers(first)[0] == sum(lost)
    assert numbers(last) == [60 - sum(lost)]


def test_plane_chains_without_a_hallucination(chains):
    out, steps = chains
    kept = mih.Samples(out.x[7:], x_t=out.x_t[:, 7:], x0_hat=out.x0_hat[:, 7:])
    found = mih.plane_chains_explorer(GRID, SCHEDULE, kept, steps)
    assert found.controls[0].start == 5
    assert "0 of the 0 chains" in found.readout[0]
    assert 'class="mih-explorer"' in found._repr_html_()


def test_plane_chains_say_what_is_missing(chains):
    out, steps = chains
    with refusal("mixture", "1D"):
        mih.plane_chains_explorer(MIX, SCHEDULE, out, steps)
    with refusal("out.x_t", "None"):
        mih.plane_chains_explorer(GRID, SCHEDULE, mih.Samples(out.x), steps)
    with refusal("steps", "4 steps"):
        mih.plane_chains_explorer(GRID, SCHEDULE, out, steps[:4])


def detector(good=3000, bad=80, apart=2.0):
    """Samples in the plane with a Hal that is larger for the hallucinations among them."""
    generator = torch.Generator().manual_seed(1)
    n = good + bad
    hallucinated = torch.arange(n) < bad
    x = torch.randn(n, 2, generator=generator)
    hal = torch.exp(torch.randn(n, generator=generator) + apart * hallucinated - 8)
    mixed = torch.randperm(n, generator=generator)
    return x[mixed], hal[mixed], hallucinated[mixed]


@pytest.fixture(scope="module", params=[(3000, 80, 2.0), (300, 2000, 0.0), (500, 1, 6.0)])
def data(request):
    return detector(*request.param)


@pytest.fixture(scope="module")
def found(data):
    return mih.threshold_explorer(GRID, *data)


def test_thresholds_cover_what_matters_and_start_at_95_percent(data, found):
    _, hal, hallucinated = data
    bad = hal[hallucinated].double()
    (slider,) = found.controls
    cuts = 10 ** np.array(slider.values)
    assert 60 <= len(cuts) <= 61
    assert (np.diff(cuts) > 0).all()
    assert len(slider.ticks) == len(found.readout) == len(cuts)
    assert cuts[slider.start] == pytest.approx(mih.choose_threshold(bad, 0.95))
    removed = found.arrays["true here"][:, 0] / 100
    assert removed[0] == 1
    assert removed[-1] == 0
    assert removed[slider.start] >= 0.95
    assert slider.start + 1 == len(cuts) or removed[slider.start + 1] < 0.95
    low, high = found.panels[0].x
    assert low < slider.values[0] < slider.values[-1] < high


def test_threshold_numbers_are_the_counts(data, found):
    _, hal, hallucinated = data
    hal, hallucinated = hal.double().tolist(), hallucinated.tolist()
    bad = [h for h, is_bad in zip(hal, hallucinated, strict=True) if is_bad]
    good = [h for h, is_bad in zip(hal, hallucinated, strict=True) if not is_bad]
    start = found.controls[0].start
    for i, value in enumerate(found.controls[0].values):
        # 10 ** log10(threshold) may fall on the other side of the sample that set it
        cut = 10**value * (1 - 1e-9)
        removed, retained = sum(h >= cut for h in bad), sum(h < cut for h in good)
        assert f"removes {removed / len(bad):.1%} of the hallucinations" in found.readout[i]
        assert f"({removed:,} of {len(bad):,})" in found.readout[i]
        assert f"retains {retained / len(good):.2%} of the good" in found.readout[i]
        assert f"({retained:,} of {len(good):,})" in found.readout[i]
        thrown = len(good) - retained
        assert f" {thrown:,} good thrown away for {removed:,} bad." in found.readout[i]
        assert found.arrays["piles"][i].tolist() == [thrown, removed, len(bad) - removed]
        assert found.arrays["true here"][i] == pytest.approx(100 * removed / len(bad))
        percent = 100 * max(thrown, 0.5) / len(good)  # half a sample stands for none
        assert 10 ** found.arrays["false here"][i] == pytest.approx(percent)
    cut = mih.choose_threshold(torch.tensor(bad, dtype=torch.float64), 0.95)
    assert f"({sum(h >= cut for h in bad):,} of" in found.readout[start]


def test_threshold_dots_are_samples_on_the_right_side(data, found):
    x, hal, hallucinated = data
    where = {tuple(point): i for i, point in enumerate(x.double().tolist())}
    for name, kind in (("good", ~hallucinated), ("bad", hallucinated)):
        points = zip(found.arrays[f"{name} x"], found.arrays[f"{name} y"], strict=True)
        shown = [where[point] for point in points]
        assert len(shown) == len(set(shown)) == min(1500, int(kind.sum()))
        assert kind[shown].all()
        for i, value in enumerate(found.controls[0].values):
            below = int((hal[shown].double() < 10**value * (1 - 1e-9)).sum())
            assert found.arrays[f"{name} retained"][i].tolist() == [0, below]
            assert found.arrays[f"{name} removed"][i].tolist() == [below, len(shown)]
            assert (hal[shown][:below].double() < 10**value).all()


def test_threshold_histograms_count_every_sample(data, found):
    _, hal, hallucinated = data
    bins = found.arrays["bins"]
    for name, kind in (("good", ~hallucinated), ("bad", hallucinated)):
        outline = found.arrays[f"{name} outline"]
        assert len(outline) == len(bins)
        assert outline[0] == outline[-1] == outline.min() == np.log10(0.5)  # an empty bin
        assert outline.max() < found.panels[0].y[1]
        heights = outline[1:-1].reshape(-1, 2)
        assert (heights[:, 0] == heights[:, 1]).all()
        inside = np.clip(hal[kind].double().log10().numpy(), bins[0], bins[-1])
        counts = np.histogram(inside, bins[::2])[0]
        assert counts.sum() == kind.sum()
        np.testing.assert_allclose(10 ** heights[:, 0], np.maximum(counts, 0.5))


def test_threshold_dot_runs_on_the_roc_curve(data, found):
    _, _, hallucinated = data
    good = int((~hallucinated).sum())
    curve = np.stack([10 ** found.arrays["false"], found.arrays["true"]]) / 100
    here = np.stack([10 ** found.arrays["false here"], found.arrays["true here"]])[..., 0] / 100
    assert curve[:, 0] == pytest.approx([0.5 / good, 0])
    assert curve[:, -1] == pytest.approx([1, 1])
    assert (np.diff(curve) >= -1e-12).all()
    away = np.abs(here[:, :, None] - curve[:, None]).sum(axis=0).min(axis=1)
    assert away.max() < 0.01


def test_threshold_explorer_says_what_is_wrong():
    x, hal, hallucinated = detector()
    with refusal("mixture", "1D"):
        mih.threshold_explorer(MIX, x, hal, hallucinated)
    with refusal("hallucinated", "int64"):
        mih.threshold_explorer(GRID, x, hal, hallucinated.long())
    with refusal("hallucinated", "3079 of"):
        mih.threshold_explorer(GRID, x, hal, hallucinated[1:])
    with refusal("hallucinated", "0 hallucinations"):
        mih.threshold_explorer(GRID, x, hal, torch.zeros_like(hallucinated))
    with refusal("hal", "0.0"):
        mih.threshold_explorer(GRID, x, torch.zeros_like(hal), hallucinated)
    with refusal("hal", "nan"):
        mih.threshold_explorer(GRID, x, torch.full_like(hal, torch.nan), hallucinated)
    with refusal("thresholds", "0"):
        mih.threshold_explorer(GRID, x, hal, hallucinated, thresholds=0)


# Images of shapes


def strip(size=64, n=4, steps=(0, 10, 20, 30, 40)):
    """Real images that shine through noise: less and less of it, and none at the last two steps."""
    generator = torch.Generator().manual_seed(0)
    x = mih.shapes.dataset(n, size, generator=generator)
    noise = torch.randn(len(steps), *x.shape, generator=generator)
    level = torch.tensor([30.0, 3.0, 0.5, *[0.0] * (len(steps) - 3)])
    return mih.Samples(x, x0_hat=x + level[:, None, None, None, None] * noise), list(steps)


def verdicts(n=4):
    return [f"verdict {i}" for i in range(n)]


@pytest.mark.parametrize("size", [16, 32, 64])
def test_strip_counts_the_shapes(size):
    out, steps = strip(size)
    found = mih.strip_explorer(out, steps, verdicts())
    present = mih.shapes.census(out.x).counts.diagonal(dim1=1, dim2=2).numpy()  # (4, 3)
    for k, name in enumerate(("triangle", "square", "pentagon")):
        count = found.arrays[name]
        assert count.shape == (4, 5)
        np.testing.assert_allclose(count[:, -2:].T, [present[:, k]] * 2, atol=1e-6)
        assert (count[:, 0] > 2).all()  # of the white in noise
    assert found.arrays["t"].tolist() == [40, 30, 20, 10, 0]


def test_strip_shows_x0_hat_and_the_final_image_in_16_greys():
    out, steps = strip()
    found = mih.strip_explorer(out, steps, verdicts())
    for name, images in (("x0_hat", out.x0_hat[:, :, 0].transpose(0, 1)), ("x", out.x[:, 0])):
        brightness = (images.double().numpy().clip(-1, 1) + 1) / 2
        pixels = found.arrays[name]
        assert pixels.shape == images.shape
        assert len(np.unique(pixels)) <= 16
        assert np.abs(pixels / 255 - brightness).max() <= 0.5 / 15 + 1e-9


def painted(*counts):
    """x0_hat of one image whose middle column has so many squares, step by step."""
    images = torch.full((len(counts), 1, 1, 64, 64), -1.0)
    for image, count in zip(images, counts, strict=True):
        for i in range(int(count)):
            image[0, 0, 12 * i : 12 * i + 8, 25:33] = 1
        image[0, 0, 50:58, 25:33] = 2 * (count % 1) - 1  # the rest of a square, in grey
    return images


@pytest.mark.parametrize(
    "counts, end, decided",
    [
        ((3, 0, 1.5, 2, 2), 2, 10),
        ((2, 2, 2, 2, 2), 2, 40),
        ((2, 2, 1, 2, 2), 2, 10),  # it had been right before, but did not stay
        ((0, 1, 1.8, 1.8, 2), 2, 20),
        ((0, 0, 0, 0, 1.5), 1.5, 0),
        ((2, 2, 2, 2, 1), 2, None),
    ],
)
def test_strip_finds_the_moment_of_decision(counts, end, decided):
    out = mih.Samples(painted(end)[0], x0_hat=painted(*counts))
    found = mih.strip_explorer(out, [0, 10, 20, 30, 40], ["a verdict"])
    assert found.arrays["square"][0] == pytest.approx(counts)
    when, there = found.arrays["square when"][0], found.arrays["square there"][0]
    middle = "the very end" if decided is None else f"t = {decided}"
    if decided is None:
        assert np.isnan(when)
    else:
        assert when == decided
        assert there == pytest.approx(counts[4 - decided // 10])
    for sentence in found.readout:
        assert sentence.replace("\u00a0", " ").endswith(f" decided at t = 40, {middle} and t = 40.")
    # starts where the last column is about to be decided
    assert found.controls[1].start == max({40: 0, 20: 1, 10: 2, 0: 3, None: 4}[decided], 0)


def test_strip_does_not_count_a_haze():
    out, steps = strip()
    faint = mih.Samples(out.x, x0_hat=out.x0_hat.clone())
    faint.x0_hat[-1] = faint.x0_hat[-1].clamp(min=-0.5)  # a brightness of 0.25 everywhere
    clear, hazy = (mih.strip_explorer(o, steps, verdicts()).arrays for o in (out, faint))
    for name in ("triangle", "square", "pentagon"):
        np.testing.assert_allclose(hazy[name], clear[name])


def test_strip_sentences_say_what_is_seen():
    out, steps = strip()
    found = mih.strip_explorer(out, steps, verdicts())
    image, step = found.controls
    assert image.ticks == [f"{i + 1}: verdict {i}" for i in range(4)]
    assert step.ticks == ["t = 40", "t = 30", "t = 20", "t = 10", "t = 0"]
    assert step.play
    for position, sentence in enumerate(found.readout):  # the last slider runs fastest
        i, j = divmod(position, 5)
        assert sentence.startswith(f"Image {i + 1}: verdict {i}. At t\u00a0=\u00a0{40 - 10 * j}, ")
        for name in ("triangle", "square", "pentagon"):
            assert f" {found.arrays[name][i, j]:.1f} {name}s" in sentence


def test_strip_explorer_says_what_is_wrong():
    out, steps = strip()
    with refusal("out.x0_hat", "None"):
        mih.strip_explorer(mih.Samples(out.x), steps, verdicts())
    with refusal("out.x.shape", "(4, 1, 60, 60)"):
        bad = mih.Samples(out.x[..., :60, :60], x0_hat=out.x0_hat[..., :60, :60])
        mih.strip_explorer(bad, steps, verdicts())
    with refusal("out.x0_hat.shape", "(5, 3, 1, 64, 64)"):
        mih.strip_explorer(mih.Samples(out.x, x0_hat=out.x0_hat[:, :3]), steps, verdicts())
    with refusal("steps", "4 steps"):
        mih.strip_explorer(out, steps[1:], verdicts())
    with refusal("steps", "1 steps"):
        mih.strip_explorer(mih.Samples(out.x, x0_hat=out.x0_hat[:1]), [0], verdicts())
    with refusal("verdicts", "3 sentences"):
        mih.strip_explorer(out, steps, verdicts(3))


def test_the_page_of_a_strip_is_not_heavy_and_always_the_same():
    """Noise is what costs most, and a third of the steps are full of it."""
    generator = torch.Generator().manual_seed(0)
    x = mih.shapes.dataset(10, generator=generator)
    level = torch.tensor([30.0] * 10 + [0.3] * 11 + [0.03] * 11)[:, None, None, None, None]
    x0_hat = x + level * torch.randn(32, *x.shape, generator=generator)
    pages = [
        mih.strip_explorer(mih.Samples(x, x0_hat=x0_hat), range(32), verdicts(10))._repr_html_()
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
    assert len(pages[0].encode()) < 700_000


def test_pages_in_the_plane_are_light_and_always_the_same():
    generator = torch.Generator().manual_seed(0)
    path = torch.randn(48, 340, 2, generator=generator)
    out = mih.Samples(path[-1], x_t=path, x0_hat=path)
    schedule = mih.Schedule.linear(1000)
    x, hal, hallucinated = detector(20_000, 2_000)
    for make in (
        lambda: mih.plane_chains_explorer(GRID, schedule, out, range(48)),
        lambda: mih.threshold_explorer(GRID, x, hal, hallucinated),
    ):
        page = make()._repr_html_()
        assert len(page.encode()) < 350_000
        assert make()._repr_html_() == page


# Models trained on their own samples


@pytest.fixture(scope="module")
def refits():
    return mih.refit_explorer((5, 100), fits=30, generator=torch.Generator().manual_seed(0))


STOPS = [*range(21), 22, 24, 26, 28, 30]  # of the slider of the fits
PROTOCOLS = mih.recursion.PROTOCOLS


def test_refits_are_those_of_the_simulation(refits):
    generator = torch.Generator().manual_seed(0)
    arrays = refits.arrays
    for i, n in enumerate((5, 100)):
        luck = generator.get_state()
        for j, protocol in enumerate(PROTOCOLS):
            generator.set_state(luck)
            mean, variance = mih.gaussian_refit.simulate(
                n, 30, repeats=5, protocol=protocol, generator=generator
            )
            shown = variance[STOPS]
            np.testing.assert_array_equal(arrays["mean"][:, i, j], mean[STOPS])
            np.testing.assert_allclose(arrays["std"][:, i, j], shown.sqrt().clamp(min=2e-3))
            np.testing.assert_allclose(arrays["log variance here"][:, i, j], shown.log10())
            paths = arrays["log variance"][i, j].reshape(5, 32)
            np.testing.assert_allclose(paths[:, :-1].T, variance.log10())
            assert np.isnan(paths[:, -1]).all()
    np.testing.assert_array_equal(arrays["fit"].reshape(5, 32)[:, :-1], [range(31)] * 5)
    for name in ("here", "dots"):
        assert (arrays[name] == np.array(STOPS)[:, None]).all()


def test_refits_under_all_protocols_have_the_same_luck(refits):
    for name in ("mean", "std"):
        first = refits.arrays[name][1]
        assert (first == first[:, :1]).all()
        assert (refits.arrays[name][2] != refits.arrays[name][2][:, :1]).any()


def test_what_is_expected_of_refits(refits):
    k = np.arange(31)
    for i, n in enumerate((5, 100)):
        replace, accumulate, _ = 10 ** refits.arrays["expected"][i]
        np.testing.assert_allclose(replace, (1 - 1 / n) ** k)
        np.testing.assert_allclose(accumulate[1:], np.cumprod(1 - 1 / (n * k[1:] ** 2.0)))
        typical = mih.gaussian_refit.expected_log_variance(n, 30).numpy() / np.log(10)
        np.testing.assert_allclose(refits.arrays["typical"][i, 0], typical)
    assert np.isnan(refits.arrays["typical"][:, 1:]).all()


def test_refit_sentences_say_what_is_left(refits):
    for position, sentence in enumerate(refits.readout):  # the last slider runs fastest
        stop, i, j = np.unravel_index(position, (len(STOPS), 2, 3))
        k, n, protocol = STOPS[stop], (5, 100)[i], PROTOCOLS[j]
        left = mih.gaussian_refit.expected_variance(n, max(k, 1), protocol=protocol)[k]
        lineages = 10 ** refits.arrays["log variance here"][stop, i, j]
        assert sentence.startswith(f"After {k} fit" if k else "No fit yet")
        assert f"n = {n} ({protocol}), {mih.share(float(left))} of" in sentence
        assert f"{mih.share(lineages.min())} to {mih.share(lineages.max())}." in sentence


def test_refit_explorer_with_one_of_everything():
    generator = torch.Generator().manual_seed(0)
    found = mih.refit_explorer([2], fits=1, lineages=1, generator=generator)
    assert [control.start for control in found.controls] == [1, 0, 0]
    assert 'class="mih-explorer"' in found._repr_html_()


@pytest.mark.parametrize(
    "name, value, settings",
    [
        ("sizes", "()", {"sizes": ()}),
        ("n", "1", {"sizes": (1,)}),
        ("fits", "0", {"fits": 0}),
        ("lineages", "0", {"lineages": 0}),
    ],
)
def test_refit_explorer_says_what_is_wrong(name, value, settings):
    with refusal(name, value):
        mih.refit_explorer(**settings, generator=torch.Generator())


def test_a_page_of_refits_is_light_and_always_the_same():
    pages = [
        mih.refit_explorer(generator=torch.Generator().manual_seed(0))._repr_html_()
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
    assert len(pages[0].encode()) < 300_000


def generations(policies=2, steps=3, n=40):
    """Points of which ever more are off the modes, and two metrics of which one has a gap."""
    generator = torch.Generator().manual_seed(0)
    names = [f"policy {i}" for i in range(policies)]
    samples = {name: GRID.sample(steps * n, generator=generator).float() for name in names}
    samples = {name: x.reshape(steps, n, 2) for name, x in samples.items()}
    for i, x in enumerate(samples.values()):
        for g in range(steps):
            off = torch.randperm(n, generator=generator)[: 4 * g + i]
            x[g, off] += 8 * GRID.std
    metrics = {
        "hallucinated (%)": {p: [10.0 * g + i for g in range(steps)] for i, p in enumerate(names)},
        "KL divergence": {p: [2e-4, *[np.nan] * (steps - 1)] for p in reversed(names)},
    }
    return samples, metrics


def test_generations_show_every_point_once_on_its_side():
    samples, metrics = generations()
    arrays = mih.generations_explorer(samples, metrics, mixture=GRID).arrays
    for i, x in enumerate(samples.values()):
        for g in range(3):
            far = GRID.distance(x[g].double()) > 6
            assert far.sum() == 4 * g + i
            for name, chosen in (("far", far), ("near", ~far)):
                drawn = np.stack([arrays[f"{name} {axis}"][i, g] for axis in "xy"], axis=1)
                drawn = drawn[~np.isnan(drawn).any(axis=1)]
                np.testing.assert_array_equal(drawn, x[g][chosen].double())


def test_generations_show_the_metrics_of_all_policies():
    samples, metrics = generations()
    found = mih.generations_explorer(samples, metrics, mixture=GRID)
    for m, metric in enumerate(metrics.values()):
        for i, policy in enumerate(samples):
            for name, shown in (
                (f"policy {i}", found.arrays[f"policy {i}"][m]),
                ("now", found.arrays["now"][i, m]),
                ("now here", found.arrays["now here"][i, :, m, 0]),
            ):
                np.testing.assert_array_equal(shown, metric[policy], err_msg=name)
        low, high = found.panels[1].y[m]
        known = [v for values in metric.values() for v in values if not np.isnan(v)]
        assert low < min(known) <= max(known) < high
    assert found.panels[1].ylabel == list(metrics)
    generation, policy, metric = found.controls
    assert generation.ticks == ["0", "1", "2"]
    assert (generation.start, generation.play, generation.values) == (2, True, [0, 1, 2])
    assert (policy.ticks, metric.ticks) == (list(samples), list(metrics))


def test_generations_tell_policies_apart():
    found = mih.generations_explorer(*generations(policies=8), mixture=GRID)
    lines = [line for line in found.panels[1].lines if line.label in found.controls[1].ticks]
    assert [line.label for line in lines] == [f"policy {i}" for i in range(8)]
    assert len({(line.dash, line.marker) for line in lines}) == 8
    assert {line.role for line in lines} == {"grey"}  # the chosen one is drawn over them
    chosen, dot = found.panels[1].lines[-2:]
    near, far = found.panels[0].lines
    assert near.role == chosen.role == dot.role == "learned"
    assert far.role == "hallucination"


@pytest.mark.parametrize("k", [3.0, 6.0, 20.0])
def test_generations_sentences_say_the_numbers(k):
    samples, metrics = generations()
    found = mih.generations_explorer(samples, metrics, mixture=GRID, k=k, shown=30)
    for position, sentence in enumerate(found.readout):  # the last control runs fastest
        g, i, _ = np.unravel_index(position, (3, 2, 2))
        lost = int((GRID.distance(samples[f"policy {i}"][g, :30].double()) > k).sum())
        kl = "–" if g else "2.0\u00a0×\u00a010⁻⁴"
        assert sentence == (
            f"Generation {g}, policy {i}: hallucinated (%) {10 * g + i}, KL divergence {kl}. "
            f"Farther than {k:g}σ from every mode: {lost} of the 30 points drawn."
        )


@pytest.mark.parametrize("n, across, down", [(1, 1, 1), (5, 3, 2), (100, 6, 6)])
def test_generations_of_images_are_sheets(n, across, down):
    generator = torch.Generator().manual_seed(0)
    samples = {name: 3 * torch.rand(3, n, 1, 8, 7, generator=generator) - 1.5 for name in "ab"}
    _, metrics = generations()
    metrics = {
        name: dict(zip("ab", metric.values(), strict=True)) for name, metric in metrics.items()
    }
    found = mih.generations_explorer(samples, metrics)
    assert [picture.title for picture in found.panels[:2]] == ["a", "b"]  # side by side
    for i, images in enumerate(samples.values()):
        sheets = found.arrays[found.panels[i].name]
        assert sheets.shape == (3, 9 * down - 1, 8 * across - 1)
        for g in range(3):
            for place in range(min(n, 36)):
                row, column = divmod(place, across)
                cut = sheets[g, 9 * row : 9 * row + 8, 8 * column : 8 * column + 7]
                brightness = (images[g, place, 0].numpy().clip(-1, 1) + 1) / 2
                assert np.abs(cut / 255 - brightness).max() <= 0.5 / 15 + 1e-6
    assert "points drawn" not in found.readout[0]
    assert 'class="mih-explorer"' in found._repr_html_()


def test_generations_without_a_hallucination_and_with_nothing_else():
    samples, metrics = generations()
    for k in (1e-6, 1e6):
        found = mih.generations_explorer(samples, metrics, mixture=GRID, k=k)
        assert 'class="mih-explorer"' in found._repr_html_()


def test_generations_explorer_says_what_is_wrong():
    samples, metrics = generations()

    def make(x=samples, numbers=metrics, mixture=GRID, **settings):
        mih.generations_explorer(x, numbers, mixture=mixture, **settings)

    first = samples["policy 0"]
    with refusal("samples", "0 policies"):
        make({})
    with refusal("samples['policy 0'].shape", "(3, 40, 2)"):
        make(mixture=None)
    with refusal("samples['policy 0'].shape", "(1, 40, 2)"):
        make({"policy 0": first[:1]})
    with refusal("samples['policy 1'].shape", "(3, 39, 2)"):
        make(samples | {"policy 1": first[:, 1:]})
    with refusal("samples['policy 0']", "list"):
        make({"policy 0": first.tolist()})
    with refusal("samples", "not finite"):
        make(samples | {"policy 1": first / 0})
    with refusal("mixture", "1D"):
        make(mixture=MIX)
    with refusal("metrics", "{}"):
        make(numbers={})
    with refusal("metrics['KL divergence']", "['policy 1']"):
        make(numbers=metrics | {"KL divergence": {"policy 1": [1, 2, 3]}})
    with refusal("metrics['m']['policy 1']", "2 numbers"):
        make(numbers={"m": {"policy 0": [1, 2, 3], "policy 1": [1, 2]}})
    with refusal("shown", "0"):
        make(shown=0)


def test_pages_of_generations_are_light_and_always_the_same():
    points = generations(policies=4, steps=10, n=2000)
    generator = torch.Generator().manual_seed(0)
    digits = mih.load_digits()[0]
    digits = torch.nn.functional.interpolate(digits, 28, mode="bilinear")  # as heavy as MNIST
    names = list(points[0])
    images = {
        p: digits[torch.randint(len(digits), (640,), generator=generator)].unflatten(0, (10, 64))
        for p in names
    }
    for make in (
        lambda: mih.generations_explorer(*points, mixture=GRID),
        lambda: mih.generations_explorer(images, points[1]),
    ):
        page = make()._repr_html_()
        assert len(page.encode()) < 300_000
        assert make()._repr_html_() == page
