"""One look for every figure, in colours that colour-blind readers can tell apart."""

COLORS = {
    "exact": "#0072B2",  # the exact denoiser, density or score
    "learned": "#D55E00",  # a network
    "data": "#6e6e6e",  # real samples and their density
    "hallucination": "#B8448A",  # what the data does not contain
    "other": "#00785A",  # a second network or a second setting
}
"""What a colour means, everywhere in the book."""

NEUTRAL = {
    "ink": "#262626",  # text, ticks, axes
    "grey": "#8a8a8a",  # what is only there to compare with
    "grid": "#d9d9d9",
    "paper": "#ffffff",
}
"""The colours without a meaning; figures use no others beside COLORS."""

DARK = {
    "exact": "#56B4E9",
    "learned": "#F58A3C",
    "data": "#a8a8a8",
    "hallucination": "#F2A0CE",
    "other": "#3CCBA0",
    "ink": "#dfe5ea",
    "grey": "#8d979e",
    "grid": "#39444c",
    "paper": "#11161a",
}
"""The same on dark paper."""

CSS_VARIABLES = {color.lower(): f"--mih-{name}" for name, color in (COLORS | NEUTRAL).items()}
"""Which CSS variable stands for which colour in the SVG of a figure, where they are lower case."""


def css_colors(light: str, dark: str) -> str:
    """Set the CSS variables of the colours, for the selectors of light and of dark pages."""
    sheets = ((light, COLORS | NEUTRAL), (dark, DARK))
    return "\n".join(
        f"{selector} {{ {' '.join(f'--mih-{name}: {c};' for name, c in colors.items())} }}"
        for selector, colors in sheets
    )


def use_style() -> None:
    """Set matplotlib and seaborn to the book's look; in a notebook, draw sharp SVG figures.

    Text stays text, in the page's own font, and every colour is one of CSS_VARIABLES, so that a
    page that shows the SVG inline can let it follow its theme.
    """
    import seaborn as sns

    ink = NEUTRAL["ink"]
    inked = ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color")
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=list(COLORS.values()),
        rc={
            **dict.fromkeys(inked, ink),
            "axes.facecolor": "none",
            "axes.grid": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "figure.constrained_layout.use": True,
            "figure.facecolor": NEUTRAL["paper"],
            "figure.figsize": (7.2, 3.6),
            "figure.dpi": 100,
            "grid.color": NEUTRAL["grid"],
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "savefig.dpi": 160,
            "svg.fonttype": "none",  # text that can be searched, enlarged and recoloured
            "svg.hashsalt": "mode-interpolation",  # the same figure gives the same bytes
        },
    )
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # outside notebooks
        return
    set_matplotlib_formats("svg", metadata={"Date": None})


def share(p: float) -> str:
    """A share in the words of the book: "12.3%", or "4.7 × 10⁻⁴" where percents get long."""
    return f"{p:.1%}" if p == 0 or p >= 0.01 else scientific(p)


def scientific(value: float) -> str:
    """A number as "4.7 × 10⁻⁴", with spaces at which no line breaks."""
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"{mantissa}\u00a0×\u00a010{str(int(exponent)).translate(raised)}"


def markdown_table(header: list[str], rows: list[list[object]]) -> str:
    """A table in Markdown, for `IPython.display.Markdown`."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
