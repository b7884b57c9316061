"""Write the project's address into the book, or take it out again.

    python tools/address.py https://example.org/owner/project
    python tools/address.py ""

`repository.url` in _config.yml is the one place that holds it. With it come the buttons of the
pages (the one to Colab only for GitHub: Colab opens notebooks from nowhere else) and the line
`REPOSITORY = ""` in each notebook's set-up cell, from which a notebook installs the package.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = r"https://([a-z0-9-]+\.)+[a-z]{2,}(/[\w.~-]+){2,}"


def stamp(url: str, root: Path = ROOT) -> str:
    """Put `url` (empty: nothing) in all its places below `root`; change no file unless all fit."""
    url = url.strip().removesuffix("/").removesuffix(".git")
    if url and not re.fullmatch(ADDRESS, url, re.ASCII):
        raise ValueError(f"address = {url!r}: expected https://HOST/OWNER/PROJECT, or nothing")
    shown = "true" if url else "false"
    colab = "https://colab.research.google.com" if url.startswith("https://github.com/") else ""
    config = {
        r'^(repository:.*\n(?:[ #].*\n)*?  url: *")[^"\n]*': url,
        r"^(  use_repository_button: *)\w+": shown,
        r"^(  use_issues_button: *)\w+": shown,
        r'^(  colab_url: *")[^"\n]*': colab,
    }
    notebook = {r'^( *"REPOSITORY = \\")[^"\\\n]*': url}
    places = {root / "_config.yml": config}
    places |= {path: notebook for path in sorted(root.glob("notebooks/*.ipynb"))}
    stamped = {path: _replaced(path, rules) for path, rules in places.items()}
    for path, content in stamped.items():
        path.write_bytes(content)
    return url


def links(url: str, root: Path = ROOT) -> list[str]:
    """The links that pages get: to the project, its issues, and each chapter on Colab."""
    if not url:
        return []
    found = [url, f"{url}/issues"]
    host, _, project = url.removeprefix("https://").partition("/")
    if host == "github.com":
        config = (root / "_config.yml").read_text(encoding="utf8")
        branch = re.search(r"^  branch: *(\S+)", config, re.M)[1]
        colab = f"https://colab.research.google.com/github/{project}/blob/{branch}"
        found += [f"{colab}/notebooks/{p.name}" for p in sorted(root.glob("notebooks/*.ipynb"))]
    return found


def _replaced(path: Path, rules: dict[str, str]) -> bytes:
    """The file's content with what follows each pattern's group replaced; each must fit once."""
    text = path.read_bytes().decode()
    for pattern, value in rules.items():
        text, count = re.subn(pattern, rf"\g<1>{value}", text, flags=re.M)
        if count != 1:
            raise ValueError(f"{path.name}: {count} lines fit {pattern}, expected one")
    return text.encode()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        address = stamp(sys.argv[1])
        print(f"_config.yml and the notebooks now have: {address or 'no address'}")
        print(*links(address), sep="\n", end="")
    except ValueError as error:
        sys.exit(str(error))
