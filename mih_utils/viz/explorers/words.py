"""Numbers and lists in the words of the explorers."""

import math

from ..style import scientific


def number(value: float) -> str:
    """Two decimals, with a minus sign that does not break."""
    return f"{value:.2f}".replace("-", "−")


def short(value: float) -> str:
    """Three digits, "1,439", "4.7 × 10⁻⁴" where that is long, a dash where there is none."""
    if math.isnan(value):
        return "–"
    if 1e3 <= abs(value) < 1e6:
        return f"{value:,.0f}".replace("-", "−")
    said = f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e3 else scientific(value)
    return said.replace("-", "−")


def listed(words: list[str]) -> str:
    """Words with commas, and an "and" before the last."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def noise_in_std(alpha_bar: float, std: float) -> str:
    """How strong the noise is beside the width of a mode, in words."""
    noise = math.sqrt((1 - alpha_bar) / alpha_bar) / std if alpha_bar > 0 else math.inf
    return f"noise of {noise:.1f}σ" if noise < 10_000 else "noise without any signal left"
