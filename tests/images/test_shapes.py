"""The shapes are the paper's, real images have no fault, and every fault put in is found."""

import pytest
import torch
from conftest import refusal
from torch.nn import functional as F

import mih_utils as mih
from mih_utils import shapes
from mih_utils.images.shapes import matching
from mih_utils.images.shapes.census_of_images import BLOCK

SIZES = (64, 32, 16)
TRIANGLE, SQUARE, PENTAGON, NONE = range(4)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def real(n, size=64, seed=0):
    return mih.shapes.dataset(n, size, generator=seeded(seed))


# The data


@pytest.mark.parametrize("size", SIZES)
def test_images_are_black_and_white_with_each_shape_in_its_column(size):
    images, width = real(2000, size), size // 3
    assert images.shape == (2000, 1, size, size)
    assert images.dtype == torch.float32
    assert set(images.unique().tolist()) == {-1.0, 1.0}
    assert (images[..., 3 * width :] == -1).all()
    for k, template in enumerate(shapes.templates(size)):
        pixels = (images[:, 0, :, k * width : (k + 1) * width] > 0).sum(dim=(1, 2))
        assert set(pixels.tolist()) == {0, int(template.sum())}
    assert ((images > 0).sum(dim=(1, 2, 3)) > 0).all()


def test_sizes_at_64_pixels_are_the_papers():
    areas = [int(template.sum()) for template in shapes.templates(64)]
    assert areas[SQUARE] == 64
    assert abs(areas[TRIANGLE] - 65) <= 2
    assert abs(areas[PENTAGON] - 70) <= 2


@pytest.mark.parametrize("size", SIZES)
def test_shapes_are_tight_and_symmetric(size):
    for template in shapes.templates(size):
        assert template.any(dim=0).all()
        assert template.any(dim=1).all()
        assert torch.equal(template, template.flip(1))
        assert max(template.shape) <= size // 3


def test_presence_is_even_without_blanks():
    """Of the seven ways to have shapes, each is as likely: chi-square with 6 degrees of freedom."""
    columns = real(14_000)[:, 0, :, :63].reshape(-1, 64, 3, 21).amax(dim=(1, 3)) > 0
    code = (columns * torch.tensor([1, 2, 4])).sum(dim=1)
    counts = torch.bincount(code, minlength=8)
    assert counts[0] == 0
    assert float(((counts[1:] - 2000) ** 2 / 2000).sum()) < 22.5  # p = 0.001


@pytest.mark.parametrize("size", SIZES)
def test_every_place_in_the_column_is_as_likely(size):
    census = mih.shapes.census(real(6000, size))
    for k, template in enumerate(shapes.templates(size)):
        place = census.place[census.shape == k].long() - torch.tensor([0, k * (size // 3)])
        for values, room in zip(place.T, (size, size // 3), strict=True):
            ways = room - template.shape[int(room != size)] + 1
            counts = torch.bincount(values, minlength=ways)
            assert len(counts) == ways
            expected = len(values) / ways
            chi = float(((counts - expected) ** 2 / expected).sum())
            assert chi < ways - 1 + 4 * (2 * ways) ** 0.5 + 3


def test_a_generator_decides_and_the_global_one_is_left_alone():
    before = torch.get_rng_state()
    assert torch.equal(real(50), real(50))
    assert not torch.equal(real(50), real(50, seed=1))
    assert torch.equal(torch.get_rng_state(), before)


# Real images have no fault


def half(images, down, across):
    """Images moved by half a pixel (bilinear), background coming in."""
    brightness = F.pad((images + 1) / 2, (1, 1, 1, 1))
    for dim, by in ((2, down), (3, across)):
        if by:
            brightness = (brightness + brightness.roll(by, dim)) / 2
    return brightness[:, :, 1:-1, 1:-1] * 2 - 1


def noised(images):
    return images + 0.05 * torch.randn(images.shape, generator=seeded(9))


def whole(images, down, across):
    """Those images that lose nothing at the border when they are moved."""
    bright, lost = images[:, 0] > 0, torch.zeros(len(images), dtype=torch.bool)
    for lines, by in ((bright, down), (bright.transpose(1, 2), across)):
        if by:
            lost |= lines[:, 0 if by < 0 else -1].any(dim=1)
    return images[~lost]


CHANGES = {
    "as drawn": lambda x: x,
    "8 bits": lambda x: ((x + 1) * 127.5).round() / 127.5 - 1,
    "noise": noised,
    "half a pixel down and right, noise": lambda x: noised(half(whole(x, 1, 1), 1, 1)),
    "half a pixel up": lambda x: half(whole(x, -1, 0), -1, 0),
    "half a pixel left": lambda x: half(whole(x, 0, -1), 0, -1),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", CHANGES)
def test_real_images_have_no_fault(size, change):
    census = mih.shapes.census(CHANGES[change](real(10_000, size)))
    for fault in ("repeated", "wrong_column", "malformed", "blank"):
        assert int(getattr(census, fault).sum()) == 0, fault
    assert not census.hallucinated.any()
    assert (census.shape == census.column).all()
    assert float(census.confidence.min()) >= 0.87


@pytest.mark.parametrize("size", SIZES)
def test_what_is_found_draws_the_images_again(size):
    images = real(500, size)
    census = mih.shapes.census(images)
    again = torch.full_like(images, -1)
    for image, shape, place in zip(census.image, census.shape, census.place, strict=True):
        row, column = place.long().tolist()
        template = shapes.templates(size)[shape]
        height, width = template.shape
        again[image, 0, row : row + height, column : column + width] += 2 * template
    assert torch.equal(again, images)
    assert torch.equal(census.counts.sum(dim=(1, 2)), torch.bincount(census.image))
    assert (census.image.diff() >= 0).all()


# Every fault put in is found


def blank_image(size):
    return torch.full((1, 1, size, size), -1.0)


def stamp(images, kind, row, column):
    """Draw one shape into all images, over what is there."""
    size = images.shape[-1]
    row_index, column_index = shapes.templates(size)[kind].nonzero().T
    images[:, 0, row + row_index, column + column_index] = 1.0
    return images


def verdict(images):
    census = mih.shapes.census(images)
    return {
        f for f in ("repeated", "wrong_column", "malformed", "blank") if getattr(census, f).any()
    }


@pytest.mark.parametrize("size", SIZES)
def test_a_second_shape_in_the_column_is_found_wherever_it_is(size):
    for kind, template in enumerate(shapes.templates(size)):
        height, width = template.shape
        left, room = kind * (size // 3), size // 3 - width
        others = real(400, size, seed=kind)
        others[..., left : left + size // 3] = -1
        g, images = seeded(kind), []
        for other in others.split(1):
            top = int(torch.randint(size - 2 * height, (), generator=g))
            below = int(torch.randint(top + height + 1, size - height + 1, (), generator=g))
            for row in (top, below):
                across = int(torch.randint(room + 1, (), generator=g))
                stamp(other, kind, row, left + across)
            images.append(other)
        census = mih.shapes.census(torch.cat(images))
        assert census.repeated.all()
        assert (census.counts[:, kind, kind] == 2).all()
        assert not census.wrong_column.any()
        assert not census.malformed.any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [TRIANGLE, SQUARE, PENTAGON])
def test_a_shape_in_a_wrong_column_is_found(size, kind):
    for column in {0, 1, 2} - {kind}:
        for row in range(0, size - max(shapes.templates(size)[kind].shape), 3):
            image = stamp(blank_image(size), kind, row, column * (size // 3))
            assert verdict(image) == {"wrong_column"}
            census = mih.shapes.census(image)
            assert (census.column.item(), census.shape.item()) == (column, kind)


def test_a_shape_across_the_border_of_its_column_is_in_a_wrong_one():
    assert verdict(stamp(blank_image(64), SQUARE, 30, 18)) == {"wrong_column"}
    assert verdict(stamp(blank_image(64), SQUARE, 30, 21)) == set()


@pytest.mark.parametrize("size", SIZES)
def test_shapes_that_run_into_each_other_are_found(size):
    for kind, template in enumerate(shapes.templates(size)):
        height, width = template.shape
        for down in range(1, height):
            image = stamp(blank_image(size), kind, 2, kind * (size // 3))
            stamp(image, kind, 2 + down, kind * (size // 3) + (size // 3 - width) // 2)
            assert verdict(image), (kind, down)


@pytest.mark.parametrize("size", SIZES)
def test_broken_shapes_are_found(size):
    """A half missing, a hole, something stuck to it, too large, too faint."""
    for kind, template in enumerate(shapes.templates(size)):
        height, width = template.shape
        left = kind * (size // 3)
        plain = stamp(blank_image(size), kind, 1, left)
        half_gone, hole, stuck, faint = (plain.clone() for _ in range(4))
        half_gone[:, :, 1 + height // 2 :] = -1
        third = height // 3 + 1
        middle = 1 + (height - third) // 2, left + (width - third) // 2
        hole[:, :, middle[0] : middle[0] + third + 1, middle[1] : middle[1] + third] = -1
        stuck[:, :, 1 + height : 1 + height + third, left : left + third + 1] = 1
        faint = (faint + 1) / 2 - 1
        large = F.interpolate(template[None, None], scale_factor=1.6)[..., : size // 3] * 2 - 1
        too_large = blank_image(size)
        too_large[:, :, 1 : 1 + large.shape[2], left : left + large.shape[3]] = large
        for name, image in {
            "half": half_gone,
            "hole": hole,
            "stuck": stuck,
            "faint": faint,
            "large": too_large,
        }.items():
            found = verdict(image)
            # at 16 pixels a large square is nearest to a pentagon
            assert "malformed" in found or (size == 16 and found), (name, kind)


@pytest.mark.parametrize(("size", "sigma"), [(64, 2.5), (32, 1.5), (16, 1.5)])
def test_blurred_shapes_are_found(size, sigma):
    reach = torch.arange(-7, 8.0)
    bell = torch.exp(-(reach**2) / (2 * sigma**2))
    bell = bell / bell.sum()
    for kind in range(3):
        image = stamp(blank_image(size), kind, 4, kind * (size // 3)) / 2 + 0.5
        image = F.conv2d(image, bell[None, None, :, None], padding=(7, 0))
        image = F.conv2d(image, bell[None, None, None, :], padding=(0, 7))
        assert verdict(image * 2 - 1) == {"malformed"}, kind


@pytest.mark.parametrize("size", SIZES)
def test_a_blank_is_found(size):
    assert verdict(blank_image(size)) == {"blank"}
    assert verdict(noised(blank_image(size))) == {"blank"}


@pytest.mark.parametrize("size", SIZES)
def test_faults_are_found_in_the_midst_of_real_images(size):
    """Also at the seam between two blocks of images, and each in its own image only."""
    images = real(2 * BLOCK + 10, size)
    broken = [0, BLOCK - 1, BLOCK, len(images) - 1]
    images[broken[0]] = -1
    images[broken[1]] = stamp(blank_image(size), SQUARE, 3, 0)[0]
    images[broken[2]] = 1
    images[broken[3], :, size // 2, :] = 1
    census = mih.shapes.census(images)
    assert census.hallucinated.nonzero()[:, 0].tolist() == broken
    assert census.blank.nonzero()[:, 0].tolist() == broken[:1]
    assert census.wrong_column[broken[1]]
    assert census.malformed[broken[2:]].all()


def test_verdicts_say_in_words_what_is_wrong():
    images = real(6)
    images[1:] = blank_image(64)
    for row in (5, 40):
        stamp(images[1:2], 1, row, 25)
    stamp(images[2:3], 0, 20, 30)  # a triangle in the middle
    images[3, 0, 10:20, 5:7] = 1
    stamp(images[4:5], 2, 20, 46)
    assert mih.shapes.census(images).verdicts() == [
        "possible",
        "two squares",
        "wrong column",
        "malformed",
        "possible",
        "nothing",
    ]


def test_confidence_is_one_less_the_share_of_wrong_pixels():
    image = stamp(blank_image(64), SQUARE, 10, 25)
    image[0, 0, 13, 28] = -1
    census = mih.shapes.census(image)
    assert census.shape.tolist() == [SQUARE]
    assert float(census.confidence) == pytest.approx(1 - 1 / 64)
    assert census.place.tolist() == [[10, 25]]
    assert mih.shapes.census(image, least=0.99).malformed.all()


def test_components_are_those_of_a_flood_fill():
    """Random pixels hang together as a plain search says."""
    pixels = torch.rand(3, 12, 12, generator=seeded()) < 0.3
    pixels = F.pad(pixels, (1, 1, 1, 1))
    places = pixels.nonzero()
    found = matching.label_components(places, pixels.shape)
    expected, index = {}, {tuple(p): i for i, p in enumerate(places.tolist())}
    for start in index:
        if start in expected:
            continue
        expected[start], queue = index[start], [start]
        while queue:
            image, row, column = queue.pop()
            for y in (-1, 0, 1):
                for x in (-1, 0, 1):
                    near = (image, row + y, column + x)
                    if near in index and near not in expected:
                        expected[near] = index[start]
                        queue.append(near)
    assert found.tolist() == [expected[place] for place in index]


def test_the_largest_column_is_the_mean_of_the_fullest():
    values = torch.rand(4, 1, 16, 16, generator=seeded())
    expected = torch.stack([values[:, 0, :, 5 * k : 5 * k + 5].mean(dim=(1, 2)) for k in range(3)])
    torch.testing.assert_close(mih.shapes.largest_column(values), expected.amax(dim=0))
    values[2, 0, :, 15] = 100  # belongs to no column
    torch.testing.assert_close(mih.shapes.largest_column(values), expected.amax(dim=0))
    with refusal("values.shape", "(3, 16, 16)"):
        mih.shapes.largest_column(torch.zeros(3, 16, 16))


# Bad input


@pytest.mark.parametrize(("n", "size", "name"), [(0, 64, "n"), (5, 48, "size"), (2.0, 64, "n")])
def test_bad_settings_are_refused(n, size, name):
    with refusal(name, str(size if name == "size" else n)):
        mih.shapes.dataset(n, size)


@pytest.mark.parametrize("shape", [(2, 64, 64), (2, 3, 64, 64), (2, 1, 48, 48), (2, 1, 64, 32)])
def test_images_of_another_form_are_refused(shape):
    with refusal("images.shape", str(shape)):
        mih.shapes.census(torch.zeros(shape))


@pytest.mark.parametrize("least", [0.0, 1.5])
def test_a_confidence_that_cannot_be_is_refused(least):
    with refusal("least", str(least)):
        mih.shapes.census(blank_image(64), least=least)
