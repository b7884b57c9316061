"""Artifacts: what is stored comes back, and what is damaged is refused with the way to mend it."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import mih_utils as mih
from mih_utils import training

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from recipes import common, gaussian_1d, gaussian_2d, shapes  # noqa: E402

import artifacts as recipes  # noqa: E402

COMMITTED = sorted(path.stem for path in (ROOT / "artifacts").glob("*.json"))
CONFIG = {
    "mixture": {"means": [[1.0], [2.0]], "std": 0.05, "weights": [1.0, 3.0]},
    "schedule": {"steps": 300, "beta_start": 1e-3, "beta_end": 0.1},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder for artifacts."""
    monkeypatch.setenv("MIH_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


def save(name="some-net", net=None, arrays=None, **settings):
    arrays = {"loss": np.arange(5.0)} if arrays is None else arrays
    settings = {"recipe": "make it", "config": CONFIG, "seed": 3, "seconds": 12.6} | settings
    return common.save_artifact(name, arrays, net=net, **settings)


def toy():
    generator = torch.Generator().manual_seed(0)
    return mih.ToyDenoiser(width=8, steps=300, generator=generator)


def refused(name="some-net"):
    """The message of the error, which must say how to make the artifact again."""
    with pytest.raises(mih.ArtifactError) as error:
        mih.artifact(name)
    assert f"tools/artifacts.py {name}" in str(error.value)
    return str(error.value)


def sign(folder, name="some-net"):
    """Write the right sha256 into a record, as somebody would who means harm."""
    note = folder / f"{name}.json"
    record = json.loads(note.read_text())
    record["sha256"] = hashlib.sha256((folder / f"{name}.npz").read_bytes()).hexdigest()
    note.write_text(json.dumps(record))


def test_what_is_saved_comes_back(folder):
    net = toy()
    stored = {"loss": np.linspace(0, 1, 7), "steps": np.array([[1, 2], [3, 4]]), "one": np.array(5)}
    path = save(net=net, arrays=stored)
    assert path == folder / "some-net.json"
    a = mih.artifact("some-net")
    assert a.arrays.keys() == stored.keys()
    for name, array in stored.items():
        assert a.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(a.arrays[name], array)
    assert not a.net.training
    x_t = torch.linspace(0, 3, 9)[:, None]
    for t in (0, 299):
        assert torch.equal(a.net(x_t, torch.tensor(t)), net(x_t, torch.tensor(t)))
    torch.testing.assert_close(a.mixture.weights, torch.tensor([0.25, 0.75]).double())
    assert (a.mixture.means.tolist(), a.mixture.std) == ([[1.0], [2.0]], 0.05)
    expected = mih.Schedule.linear(300, 1e-3, 0.1)
    assert torch.equal(a.schedule.beta, expected.beta)


def test_the_record_says_where_it_comes_from(folder):
    record = json.loads(save(net=toy(), seed=[1, 2]).read_text())
    assert record == mih.artifact("some-net").record
    data = (folder / "some-net.npz").read_bytes()
    assert record["sha256"] == hashlib.sha256(data).hexdigest()
    assert record["name"] == "some-net"
    assert record["recipe"] == "make it"
    assert record["config"] == CONFIG | {"net": toy().config}
    assert record["seed"] == [1, 2]
    assert record["seconds"] == 13
    assert record["package_version"] == mih.__version__
    assert record["versions"]["torch"] == torch.__version__
    assert record["versions"]["numpy"] == np.__version__


def test_saving_again_gives_the_same_bytes(folder):
    save(net=toy())
    first = (folder / "some-net.npz").read_bytes()
    save(net=toy())
    assert (folder / "some-net.npz").read_bytes() == first


def test_what_an_artifact_does_not_have_is_said(folder):
    save(config={})
    a = mih.artifact("some-net")
    for part in ("net", "mixture", "schedule"):
        with pytest.raises(mih.ArtifactError, match=f"some-net.*{part}"):
            getattr(a, part)


# Damage


def test_a_missing_artifact_is_said_with_those_there(folder):
    assert "none" in refused("absent")
    save("some-net")
    save("other-net")
    message = refused("absent")
    assert "'absent'" in message
    assert "other-net, some-net" in message
    assert str(folder) in message


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_half_an_artifact_is_missing(folder, suffix):
    save()
    (folder / f"some-net{suffix}").unlink()
    assert "some-net" in refused()


@pytest.mark.parametrize("at", [0, 100, -1])
def test_one_wrong_byte_is_noticed(folder, at):
    save(net=toy())
    data = folder / "some-net.npz"
    content = bytearray(data.read_bytes())
    content[at] ^= 1
    data.write_bytes(content)
    message = refused()
    assert "sha256" in message
    assert str(data) in message


def test_a_cut_file_is_noticed(folder):
    save(net=toy())
    data = folder / "some-net.npz"
    data.write_bytes(data.read_bytes()[:100])
    assert "sha256" in refused()


@pytest.mark.parametrize(
    "record",
    [
        "",
        "{",
        "[]",
        "[1, 2]",
        "3",
        '{"name": "x"}',
        '{"sha256": null}',
        '{"sha256": 5}',
        b"\xff\xfe",
    ],
)
def test_a_broken_record_is_refused(folder, record):
    save()
    note = folder / "some-net.json"
    note.write_bytes(record if isinstance(record, bytes) else record.encode())
    assert "some-net" in refused()


class Harm:
    """Something that does something when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_nothing_is_executed(folder, tmp_path):
    save()
    trap = tmp_path / "executed"
    np.savez(folder / "some-net.npz", loss=np.array([Harm(trap)], dtype=object))
    sign(folder)
    with pytest.raises((ValueError, mih.ArtifactError)):
        mih.artifact("some-net")
    assert not trap.exists()
    with np.load(folder / "some-net.npz", allow_pickle=True) as stored:  # so there was a danger
        stored["loss"]
    assert trap.exists()


def test_weights_that_do_not_fit_are_refused(folder):
    save(net=toy(), arrays={})
    note = folder / "some-net.json"
    record = json.loads(note.read_text())
    record["config"]["net"]["width"] = 16
    note.write_text(json.dumps(record))
    with pytest.raises((RuntimeError, mih.ArtifactError)):
        mih.artifact("some-net").net  # noqa: B018


def test_objects_are_not_stored(folder):
    with pytest.raises(ValueError, match=r"arrays.*'things'"):
        save(arrays={"things": np.array([{"a": 1}], dtype=object)})
    assert not folder.exists()


@pytest.mark.parametrize("use", [save, mih.artifact])
@pytest.mark.parametrize("name", ["", "a/b", "../up", "a b", "-", "a.b", 3])
def test_a_bad_name_is_refused(folder, name, use):
    with pytest.raises(ValueError) as refusal:
        use(name)
    assert str(refusal.value).startswith("name")
    assert repr(name) in str(refusal.value)
    assert not folder.exists() or not any(folder.iterdir())


def test_a_network_is_trained_again_from_its_record(folder, capsys):
    config = CONFIG | {"training": {"points": 200}}
    save(net=toy(), config=config)
    stored = mih.artifact("some-net")
    one, two = (stored.retrained(epochs=3, batch=100) for _ in range(2))
    assert one.config == toy().config
    for a, b, old in zip(one.parameters(), two.parameters(), stored.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        assert a.shape == old.shape
    assert not torch.equal(one.x_out.weight, stored.net.x_out.weight)
    save(config=CONFIG)
    with pytest.raises(mih.ArtifactError):
        mih.artifact("some-net").retrained()


def test_a_network_that_is_not_trained_to_the_end_does_not_come_back(folder, monkeypatch):
    save(net=toy(), config=CONFIG | {"training": {"points": 200}})
    calls, forward = [], mih.ToyDenoiser.forward

    def interrupted(self, x_t, t):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return forward(self, x_t, t)

    monkeypatch.setattr(mih.ToyDenoiser, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        mih.artifact("some-net").retrained(epochs=10, batch=100, progress=False)
    assert len(calls) == 3


def test_what_is_done_to_a_network_changes_no_other(folder):
    """Neither its dtype nor its weights are those of the verified artifact's next network."""
    before = torch.get_rng_state()
    save(net=toy())
    stored = mih.artifact("some-net")
    first = stored.net.double()
    with torch.no_grad():
        for weight in first.parameters():
            weight.zero_()
    again = stored.net
    assert again is not first and not again.training
    for weight, expected in zip(again.parameters(), toy().parameters(), strict=True):
        assert weight.dtype == torch.float32 and weight.equal(expected)
    stored.mixture.means.zero_()
    assert stored.mixture.means.any()
    assert torch.get_rng_state().equal(before)  # building one draws nothing


# The committed ones


def test_each_has_its_recipe_and_its_two_files():
    assert COMMITTED
    assert set(COMMITTED) <= set(recipes.RECIPES)
    data = sorted(path.stem for path in (ROOT / "artifacts").glob("*.npz"))
    assert data == COMMITTED


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_artifact_loads_and_has_its_record(name):
    a = mih.artifact(name)
    record = a.record
    assert record["name"] == name
    assert record["recipe"] == f"python tools/artifacts.py {name}"
    assert {"torch", "numpy", "python"} <= record["versions"].keys()
    assert record["package_version"]
    assert record["seconds"] > 0
    assert isinstance(record["seed"], int | list)
    if "classifier" in record["config"]:
        assert record["config"]["accuracy"] > 0.97
    else:
        assert a.schedule.alpha_bar[-1] < 1e-3
    assert a.arrays
    for key, array in a.arrays.items():
        assert np.isfinite(array).all(), key
    if "mixture" in record["config"]:
        assert len(a.mixture.means) > 1
    if "net" in record["config"]:
        at_mean = a.net(a.mixture.means.float(), torch.tensor(50))
        assert at_mean.isfinite().all()
        last, first = a.arrays["excess"][-5:].mean(), a.arrays["excess"][0]
        assert last < first / 5


@pytest.mark.parametrize("name", ["shapes64", "shapes32"])
def test_committed_unet_has_learned_the_shapes(name):
    """Its loss, on new images, is the one that its training ended with, and near the least."""
    a, g = mih.artifact(name), torch.Generator().manual_seed(0)
    size, n = a.record["config"]["training"]["size"], 96
    exact = mih.ExactDenoiser(mih.ShapesDistribution(size), a.schedule)
    x0 = mih.shapes.dataset(n, size, generator=g)
    t = torch.randint(len(a.schedule), (n,), generator=g)
    noise = torch.randn(x0.shape, generator=g)
    x_t = a.schedule.add_noise(x0, t, noise)
    with torch.no_grad():
        learned, least = (float((f(x_t, t) - noise).square().mean()) for f in (a.net, exact))
    assert learned == pytest.approx(float(a.arrays["loss"][-500:].mean()), rel=0.4)
    assert least < learned < 10 * least


@pytest.mark.slow
def test_stored_samples_of_shapes_are_what_the_network_draws():
    """The share of impossible images, of the stored samples and of some drawn anew."""
    a, g = mih.artifact("shapes64"), torch.Generator().manual_seed(0)
    detector = mih.artifact("shapes64-detector")
    assert (detector.arrays["x"] == a.arrays["x"]).all()
    stored = mih.from_shades(a.arrays["x"][:1000])
    windows = detector.record["config"]["windows"]
    assert detector.arrays["log10_hal"].shape == (len(a.arrays["x"]), len(windows), 4)
    whole = windows.index([0, len(a.schedule)])
    census = mih.shapes.census(stored)
    hal = detector.arrays["log10_hal"][:1000, whole, 1].astype(float)
    assert hal[census.repeated].min() > np.median(hal) > hal[census.blank].max()
    out = mih.sample(a.net, a.schedule.ddpm(), 32, (1, 64, 64), generator=g, progress=False)
    drawn = mih.shapes.census(out.x).hallucinated.double().mean()
    expected = census.hallucinated.double().mean()
    assert abs(drawn - expected) < 4 * (expected * (1 - expected) / 32) ** 0.5


@pytest.mark.parametrize("name", ["line123-net", "line1245-net", "grid25-net", "diamond25-net"])
def test_committed_network_is_near_the_exact_denoiser(name):
    """Its excess loss, on points drawn anew, is the one that its training reported."""
    a, g = mih.artifact(name), torch.Generator().manual_seed(0)
    exact, n = mih.ExactDenoiser(a.mixture, a.schedule), 4000
    t = torch.randint(len(a.schedule), (n,), generator=g)
    noise = torch.randn(n, a.mixture.dim, generator=g)
    x_t = a.schedule.add_noise(a.mixture.sample(n, g), t, noise)
    with torch.no_grad():
        excess = float((a.net(x_t, t) - exact(x_t, t)).square().mean())
    assert excess == pytest.approx(float(a.arrays["excess"][-10:].mean()), rel=1)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for finished parts of recipes."""
    monkeypatch.setattr(common, "CACHE", tmp_path / "kept")
    return tmp_path / "kept"


def make_small(seed=0):
    """The sha256 of a small artifact with a network."""
    gaussian_1d.make_net("some-net", [1, 2, 3], 20_000, 25, 512, seed)
    return mih.artifact("some-net").record["sha256"]


def test_making_a_small_one_again_gives_the_same_bytes(folder, cache, capsys):
    first = make_small()
    shutil.rmtree(cache)
    assert make_small() == first
    assert make_small(seed=1) != first


def test_a_recipe_goes_on_from_what_is_finished(folder, cache, capsys, monkeypatch):
    first = make_small()
    (kept,) = cache.iterdir()
    monkeypatch.setattr(common, "train_toy", None)  # would fail if it were trained again
    assert make_small() == first
    with np.load(kept) as stored:
        assert float(stored["seconds"]) > 0


def stop_soon(monkeypatch):
    """Interrupt the next training at the second time that it measures its excess."""
    calls, exact = [], mih.ExactDenoiser.__call__

    def interrupt(self, x_t, t):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return exact(self, x_t, t)

    monkeypatch.setattr(mih.ExactDenoiser, "__call__", interrupt)


def test_a_training_that_was_stopped_is_not_kept(folder, cache, capsys, monkeypatch):
    stop_soon(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        make_small()
    assert not cache.exists() or not any(cache.iterdir())
    assert not folder.exists()


def test_a_committed_network_comes_out_of_its_recipe(monkeypatch, capsys):
    """Its training, stopped early, has the loss curve that is stored.

    Rounding differs from machine to machine, so curves are compared and not bytes.
    """
    stored = mih.artifact("line123-net")
    config, mixture = stored.record["config"], stored.mixture
    losses, step = [], training._step

    def watched(state, *rest):
        step(state, *rest)
        losses.append(float(state.loss[state.done - 1]))

    monkeypatch.setattr(training, "_step", watched)
    stop_soon(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        common.train_toy(
            means=mixture.means.tolist(),
            std=mixture.std,
            weights=mixture.weights.tolist(),
            **config["training"],
            seed=stored.record["seed"],
        )
    first, then = slice(30), slice(min(400, len(losses)))
    np.testing.assert_allclose(losses[first], stored.arrays["loss"][first], rtol=1e-2)
    smooth = np.ones(40) / 40
    curves = [np.convolve(a[then], smooth, "valid") for a in (losses, stored.arrays["loss"])]
    assert len(curves[0]) > 200
    np.testing.assert_allclose(*curves, rtol=0.1)


def test_the_recipes_of_the_committed_networks_have_their_settings(monkeypatch):
    """What each recipe passes on is what the committed record says."""
    seen = {}

    def note(name, mixture, points, steps, batch, seed):
        config = {"points": points, "steps": steps, "batch": batch}
        seen[name] = (mixture.means.tolist(), mixture.std, config, seed)

    for module in (gaussian_1d, gaussian_2d):
        monkeypatch.setattr(module, "save_net", note)
    for name in COMMITTED:
        record = mih.artifact(name).record
        if "net" in record["config"]:
            recipes.make_one(name, recipes.RECIPES[name])
            mixture, training = record["config"]["mixture"], record["config"]["training"]
            assert seen[name] == (mixture["means"], mixture["std"], training, record["seed"])
    assert len(seen) > 5


# Generations


def mean_and_error(share, n):
    return share, (share * (1 - share) / n) ** 0.5


def test_stored_line_generations_are_what_their_densities_say():
    """Mass beyond 6 std and widths, by sums over the stored grid, of the first lineage."""
    a = mih.artifact("recursion-line-arms")
    arms = {name.removesuffix("/p") for name in a.arrays if name.endswith("/p")}
    assert {"random", "lowest Hal", "oracle", "accumulate", "endless", "sharp"} < arms
    for arm in arms:
        p = a.arrays[f"{arm}/p"].astype(float)
        x, dx = np.linspace(0, 4, p.shape[1], retstep=True)
        near = np.abs(x[:, None] - [1, 2, 3]) <= 6 * a.mixture.std
        assert len(p) == a.record["config"]["training"]["generations"]
        np.testing.assert_allclose(p.sum(axis=1) * dx, 1, atol=2e-3)
        for what, outside in (("outside", x >= 0), ("between", (x > 1) & (x < 3))):
            found = p[:, outside & ~near.any(axis=1)].sum(axis=1) * dx
            stored = a.arrays[f"{arm}/{what}"][0]
            np.testing.assert_allclose(stored, found, rtol=0.05, atol=1e-5)
        square = (x[:, None] - [1, 2, 3]) ** 2 * near
        widths = np.sqrt(p @ square / (p @ near)) / a.mixture.std
        np.testing.assert_allclose(a.arrays[f"{arm}/widths"][0], widths, rtol=5e-3)


@pytest.mark.parametrize(
    "name, what, arms",
    [
        ("recursion-line-arms", "between", ("lowest Hal", "oracle", "accumulate", "sharp")),
        ("grid25-lineages", "middle", ("lowest Hal", "accumulate")),
        ("shapes32-lineages", "drawn_impossible", ("lowest Hal",)),
    ],
)
def test_the_arms_of_a_seed_share_its_first_model(name, what, arms):
    a = mih.artifact(name)
    assert len(a.arrays[f"random/{what}"]) == len(a.record["seed"])
    for arm in arms:
        found = a.arrays[f"{arm}/{what}"][:, 0]  # some arms have the first seeds alone
        np.testing.assert_array_equal(found, a.arrays[f"random/{what}"][: len(found), 0])


def test_stored_grid_samples_have_the_stored_rates():
    """Samples that random filters left are as wide as the densities, which were computed."""
    a = mih.artifact("grid25-lineages")
    for arm in ("random", "accumulate", "paper's, random"):
        stored = {w: a.arrays[f"{arm}/{w}"][0] for w in ("outside_kept", "widths")}
        for g, x in enumerate(torch.from_numpy(a.arrays[f"{arm}/x"].astype(np.float32))):
            census = mih.mode_census(a.mixture, x, a.record["config"]["k"])
            share, error = mean_and_error(float(stored["outside_kept"][g]), len(x))
            assert abs(census.hallucinated - share) < 4.5 * error + 1e-3
            assert float(census.widths.mean()) == pytest.approx(stored["widths"][g].mean(), rel=0.1)


def test_stored_shapes_are_as_impossible_as_stored():
    a = mih.artifact("shapes32-lineages")
    for policy in ("random", "lowest Hal"):
        for g, images in enumerate(a.arrays[f"{policy}/x"]):
            found = mih.shapes.census(mih.from_shades(images))
            share, error = mean_and_error(
                float(a.arrays[f"{policy}/impossible"][0, g]), len(images)
            )
            assert abs(float(found.hallucinated.double().mean()) - share) < 4.5 * error + 0.01


def test_stored_digits_have_the_stored_classes():
    """A classifier of 28 pixels, trained apart, sees in them what that of 14 pixels saw in all."""
    a, judge = mih.artifact("digits-lineages"), mih.artifact("mnist-classifier").net
    for policy in ("random", "lowest Hal"):
        shares = a.arrays[f"{policy}/classes"][0]
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
        for images, share in zip(a.arrays[f"{policy}/x"], shares, strict=True):
            larger = F.interpolate(mih.from_shades(images), scale_factor=2.0)  # pixels become four
            found = torch.bincount(judge.classes(larger), minlength=10) / len(larger)
            error = 4.5 * (share * (1 - share) / len(larger)) ** 0.5 + 0.01
            assert (np.abs(found.numpy() - share) < error).all()


def test_a_component_is_told_from_another_image():
    """Touching corners belong together, pixels of different images do not; nothing gives 0."""
    x = np.zeros((4, 6, 6), bool)
    x[0, 1:3, 1:3] = x[0, 4, 4] = x[1, 1, 1] = x[2, 0, 0] = x[2, 1, 1] = True
    label, n = shapes.ndimage.label(x, [shapes.ALONE, np.ones((3, 3)), shapes.ALONE])
    assert n == 4
    values = torch.arange(144.0).reshape(4, 6, 6)
    found = shapes.largest_mean(values, label, n)
    of_two = float(values[2, [0, 1], [0, 1]].mean())
    assert found.tolist() == [float(values[0, 4, 4]), float(values[1, 1, 1]), of_two, 0]
