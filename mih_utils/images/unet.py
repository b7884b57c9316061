"""A small U-Net for images; inside `VelocityTarget` it is a denoiser."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._checks import require, require_count
from .._device import has_bfloat16, initial_weights
from ..denoisers import sinusoids


class UNet(nn.Module):
    """A small U-Net (Ronneberger et al. 2015; Ho et al. 2020) for images from 16 to 64 pixels.

    Each level has half the resolution of the one before. It has one residual block on the way down,
    and one on the way up, which also sees what the way down had there. At the bottom are two more,
    with self-attention between them.

    net(x_t, t): x_t (n, colours, height, width); t of shape (n,) or (), whole numbers below
    `steps` or any floats. It returns the shape of x_t. The book's U-Nets predict the velocity;
    VelocityTarget(net, schedule) gives the noise.
    """

    def __init__(
        self,
        channels: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 2),
        attention: bool = True,
        colours: int = 1,
        patch: int = 1,
        steps: int = 1000,
        autocast: bool = True,
        generator: torch.Generator | None = None,
    ):
        """channels: of the first level, a multiple of 8; multipliers: of them, level by level.

        attention: self-attention at the lowest resolution. colours: of the images.
        patch: the side of the patches of pixels that the first level sees as one (pixel unshuffle,
            Shi et al. 2016): 2 makes an image of 64 pixels as cheap as one of 32.
        steps: length of the schedule that it will see.
        autocast: compute the blocks in bfloat16 where the hardware does that well, and the weights
            are float32.
        generator: for the initial weights, on any device.
        """
        super().__init__()
        counts = {"channels": channels, "colours": colours, "patch": patch, "steps": steps}
        for name, value in counts.items():
            require_count(name, value)
        require(channels % 8 == 0, "channels", channels, "a multiple of 8 (the groups of the norm)")
        require(len(multipliers) > 0, "multipliers", multipliers, "one number for each level")
        for multiplier in multipliers:
            require_count("multipliers", multiplier)
        self.config = {
            "channels": channels,
            "multipliers": list(multipliers),
            "attention": attention,
            "colours": colours,
            "patch": patch,
            "steps": steps,
            "autocast": autocast,
        }
        self.known_steps = range(steps)
        self.autocast = autocast
        self.register_buffer("table", sinusoids(torch.arange(steps), channels), persistent=False)
        with initial_weights(self, generator):
            self._build([channels * multiplier for multiplier in multipliers])
        # at first every block passes on what it gets, and the output is zero
        blocks = [layer.last for layer in self.modules() if hasattr(layer, "last")]
        for layer in (*blocks, self.x_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.to(memory_format=torch.channels_last)

    def _build(self, widths: list[int]) -> None:
        """Make the layers; the levels have so many channels."""
        channels, pixels = (
            self.config["channels"],
            self.config["colours"] * self.config["patch"] ** 2,
        )
        time, bottom, top = 4 * channels, widths[-1], widths[0]
        self.embed_time = nn.Sequential(
            nn.Linear(channels, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU()
        )
        self.x_in = nn.Conv2d(pixels, channels, 3, padding=1)
        before, below = [channels, *widths], [*widths[1:], bottom]
        self.down = nn.ModuleList(_Block(a, b, time) for a, b in zip(before, widths, strict=False))
        self.middle_in = _Block(bottom, bottom, time)
        self.attention = _Attention(bottom) if self.config["attention"] else nn.Identity()
        self.middle_out = _Block(bottom, bottom, time)
        self.up = nn.ModuleList(
            _Block(width + deeper, width, time) for width, deeper in zip(widths, below, strict=True)
        )
        self.norm_out = nn.GroupNorm(8, top)
        self.x_out = nn.Conv2d(top, pixels, 3, padding=1)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        self._check(x_t)
        low = self.autocast and x_t.dtype == torch.float32 and has_bfloat16(x_t.device)
        # x_t goes in and the result comes out in full precision
        h = F.pixel_unshuffle(x_t, self.config["patch"])
        h = self.x_in(h.contiguous(memory_format=torch.channels_last))
        with torch.autocast(x_t.device.type, torch.bfloat16) if low else nullcontext():
            time = self.embed_time(self._sinusoids(t.reshape(-1)))
            skips = []
            for level, block in enumerate(self.down):
                h = block(F.avg_pool2d(h, 2) if level else h, time)
                skips.append(h)
            h = self.middle_out(self.attention(self.middle_in(h, time)), time)
            for level, block in reversed(list(enumerate(self.up))):
                h = block(torch.cat([h, skips[level]], dim=1), time)
                h = F.interpolate(h, scale_factor=2.0) if level else h
        h = self.x_out(F.silu(self.norm_out(h.to(x_t.dtype))))
        return F.pixel_shuffle(h, self.config["patch"])

    def _sinusoids(self, t: Tensor) -> Tensor:
        """Look up those of whole t, or compute those of any t: (n, channels)."""
        if t.is_floating_point():
            return sinusoids(t, self.config["channels"]).to(self.table)
        return F.embedding(t, self.table)

    def _check(self, x_t: Tensor) -> None:
        colours = self.config["colours"]
        factor = self.config["patch"] * 2 ** (len(self.down) - 1)
        ok = x_t.ndim == 4 and x_t.shape[1] == colours
        ok = ok and x_t.shape[2] % factor == 0 and x_t.shape[3] % factor == 0
        expected = f"of form (n, {colours}, height, width), both multiples of {factor}"
        require(ok, "x_t.shape", tuple(x_t.shape), expected)


class _Block(nn.Module):
    """Two convolutions, the time embedding added between them, and a way around both."""

    def __init__(self, channels_in: int, channels: int, time: int):
        super().__init__()
        self.norm_in = nn.GroupNorm(8, channels_in)
        self.first = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.time = nn.Linear(time, channels)
        self.norm_out = nn.GroupNorm(8, channels)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        same = channels_in == channels
        self.around = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        inner = self.first(F.silu(self.norm_in(h))) + self.time(time)[:, :, None, None]
        return self.around(h) + self.last(F.silu(self.norm_out(inner)))


class _Attention(nn.Module):
    """Self-attention between all pixels, with one head, and a way around it."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.queries_keys_values = nn.Linear(channels, 3 * channels)
        self.last = nn.Linear(channels, channels)

    def forward(self, h: Tensor) -> Tensor:
        pixels = self.norm(h).flatten(2).transpose(1, 2)  # (n, height * width, channels)
        queries, keys, values = self.queries_keys_values(pixels).chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(queries, keys, values)
        return h + self.last(seen).transpose(1, 2).reshape(h.shape)
