"""The project's files agree with each other."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import nbformat
import pytest
import torch
import yaml
from packaging.requirements import Requirement

import mih_utils as mih

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

spec = importlib.util.spec_from_file_location("address", ROOT / "tools" / "address.py")
address = importlib.util.module_from_spec(spec)
spec.loader.exec_module(address)


# Versions


def named(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


EXTRAS = PROJECT["optional-dependencies"]
NEEDED = [*PROJECT["dependencies"], *(needed for extra in EXTRAS.values() for needed in extra)]
PINS = [
    line
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_each_dependency_has_one_pin_that_it_allows(python):
    system = {"python_version": python, "python_full_version": f"{python}.9"}
    for needed in NEEDED:
        pins = [Requirement(pin) for pin in PINS if named(pin) == named(needed)]
        pins = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(system)]
        assert len(pins) == 1, needed
        (exact,) = pins[0].specifier
        assert Requirement(needed).specifier.contains(exact.version), needed


def test_constraints_are_plain_pins():
    for pin in PINS:  # no path, no address, no build of one machine
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", pin), pin


def test_conda_installs_what_pip_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert environment["name"] == PROJECT["name"]
    assert conda == [f"python {PROJECT['requires-python']}", "pip"]
    setup = re.search(r"^\tpip install (-c \S+) (-e) \"(\S+)\"$", MAKEFILE, re.M)
    assert pip == {"pip": [setup[1], f"{setup[2]} {setup[3]}"]}
    assert setup[3] == f".[{','.join(EXTRAS)}]"


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    releases = re.findall(r"^## \[(.+?)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert "version" in PROJECT["dynamic"]  # read from mih_utils/__init__.py
    assert (mih.__version__, citation["date-released"]) == releases[0]
    assert str(citation["version"]) == mih.__version__


def test_all_that_cites_the_project_agrees():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    deposit = json.loads((ROOT / ".zenodo.json").read_text())
    text = (ROOT / "paper" / "paper.md").read_text()
    paper = yaml.safe_load(text.split("---\n")[1])
    authors = [author["name"] for author in citation["authors"]]
    assert [creator["name"] for creator in deposit["creators"]] == authors
    assert [author["name"] for author in paper["authors"]] == authors
    assert deposit["title"] == paper["title"] == citation["title"]
    assert deposit["license"] in citation["license"]
    assert "arXiv:2406.09358" in deposit["related_identifiers"][0]["identifier"]
    titles = ["Summary", "Statement of need", "Learning objectives", "Experience of use"]
    assert set(titles) <= set(re.findall(r"^# (.+)$", text, re.M))
    cited = set(re.findall(r"@([a-z]+\d+)", text))
    known = (ROOT / "paper" / "paper.bib").read_text()
    assert cited == set(re.findall(r"^@\w+\{(\w+),", known, re.M))
    book = (ROOT / "book" / "references.bib").read_text()
    for entry in re.findall(r"^@.+?^\}$", known, re.M | re.S):
        assert entry in book  # the same as in the book's bibliography


# README and Makefile


def recipes() -> dict[str, list[str]]:
    """The commands that each make target shows, its variables replaced by their defaults."""
    defaults = dict(re.findall(r"^(\w+) \?= (\w+)$", MAKEFILE, re.M))
    found = {}
    for target, body in re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", MAKEFILE, re.M):
        lines = re.sub(r"\\\n\s*", "", body).splitlines()
        shown = [line.strip() for line in lines if not re.match(r"\t(@|\$\(call done)", line)]
        found[target] = [re.sub(r"\$\((\w+)\)", lambda m: defaults[m[1]], x) for x in shown]
    return found


def test_plain_commands_in_readme_are_those_of_make():
    block = re.search(r"## Without make.*?```sh\n(.*?)```", README, re.S)[1]
    setup, *parts = re.split(r"\n# make (\w+).*\n", block)
    plain = {k: v.split("\n") for k, v in zip(parts[::2], map(str.strip, parts[1::2]), strict=True)}
    assert set(plain) == {"book", "serve", "test", "artifacts", "bench", "clean"}
    assert plain == {target: recipes()[target] for target in plain}
    assert re.search(r"^\t(pip install -c .*)$", MAKEFILE, re.M)[1] in setup.splitlines()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_make_targets_that_are_named_exist(name):
    named = re.findall(r"(?:`|^|# )make ([a-z-]+)", (ROOT / name).read_text(), re.M)
    assert named
    assert set(named) <= set(recipes())


@pytest.mark.filterwarnings("ignore:.*left the grid")  # after 20 steps of training it may
def test_first_code_in_readme_runs(capsys):
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    quicker = code.replace("steps=2000", "steps=20").replace("2048", "512")
    assert len(quicker) == len(code) - 3
    torch.manual_seed(0)
    exec(quicker, {})
    network, exact = map(float, capsys.readouterr().out.split())
    assert 0 <= exact < 1e-6 < network <= 1


# Notebooks and artifacts


def test_every_notebook_is_in_the_book():
    toc = (ROOT / "_toc.yml").read_text()
    listed = re.findall(r"file: (notebooks/\S+)", toc)
    assert sorted(listed) == [f"notebooks/{path.stem}" for path in NOTEBOOKS]
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_clean(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


# What draws at random, if it is called without a generator, from one that nobody has seeded.
DRAW = {"UNet", "ToyDenoiser", "train", "randn", "rand", "randint", "randperm", "multinomial"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_draw_from_a_generator(path):
    notebook = nbformat.read(path, as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    drawn = [call for call in calls if getattr(call.func, "attr", "") in DRAW]
    passed = {"generator", None}  # None: **settings, which run with the rest
    bare = [ast.unparse(c) for c in drawn if not passed & {word.arg for word in c.keywords}]
    assert drawn and not bare


def test_artifacts_are_small():
    sizes = [path.stat().st_size for path in (ROOT / "artifacts").rglob("*") if path.is_file()]
    assert sizes
    assert sum(sizes) <= 12e6


# The code

PACKAGE = ROOT / "mih_utils"
PATH = ("mixture", "schedule", "chain", "denoisers", "training", "sampling", "detection")
SHARED = {"_checks", "_device", "_fingerprint"}  # private to the package, not to one module


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf8"))


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> list[tuple[str, str]]:
    """The modules of the package that a file imports, wherever it does, and the names it takes."""
    found = []
    package = ["mih_utils", *path.parent.relative_to(PACKAGE).parts]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{module}.{alias.name}"  # perhaps a module: from .images import shapes
                found.append((whole, "") if file_of(whole) else (module, alias.name))
    return found


def file_of(module: str) -> Path | None:
    """The file of a module of the package; None for anything else."""
    if module.split(".")[0] != "mih_utils":
        return None
    place = ROOT.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in files if path.is_file()), None)


def needed(path: Path) -> set[Path]:
    """The files of the package that a file imports itself."""
    return {found for module, _ in imported(path) if (found := file_of(module))}


def test_the_core_can_be_read_in_an_evening():
    lines = {name: len((PACKAGE / f"{name}.py").read_text().splitlines()) for name in PATH}
    assert sum(lines.values()) <= 1000, lines


def test_imports_go_one_way():
    """No module needs itself, over however many others; the package's front needs them all."""
    files = {path for path in sources("mih_utils") if path != PACKAGE / "__init__.py"}
    direct = {path: needed(path) & files for path in files}
    assert len(direct[PACKAGE / "detection.py"]) >= 3
    order = TopologicalSorter(direct)
    order.prepare()  # raises CycleError, with the cycle


def test_the_core_needs_no_other_room():
    reached, waiting = set(), [PACKAGE / f"{name}.py" for name in PATH]
    while waiting:
        path = waiting.pop()
        assert path.parent == PACKAGE, path  # not images, recursion or viz
        if path not in reached:
            reached.add(path)
            waiting += needed(path)
    assert PACKAGE / "__init__.py" not in reached
    names = {path.stem for path in reached}
    assert names <= {*PATH, *SHARED, "statistics", "interrupts"}


def test_importing_the_package_draws_nothing():
    code = "import sys, mih_utils; print(*sorted(m for m in sys.modules if '.' not in m))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "mih_utils" in loaded and "torch" in loaded
    assert not {"matplotlib", "seaborn", "IPython", "sklearn"} & set(loaded)


def test_functions_are_short():
    long = []
    for path in sources("mih_utils", "tools", "book/_ext", "classroom"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = node.end_lineno - node.lineno + 1
                long += [f"{path.name}: {node.name} has {lines} lines"] if lines > 60 else []
    assert not long


def test_private_names_stay_in_their_module():
    taken = []
    for path in sources("mih_utils", "tools", "book/_ext", "classroom"):
        inside = PACKAGE in path.parents
        for module, name in imported(path) if inside else imported_from_outside(path):
            private = [part for part in (*module.split("."), name) if re.match(r"_(?!_)", part)]
            private = [part for part in private if not (inside and part in SHARED)]
            taken += [f"{path.name}: {module} {name}"] if private and "mih" in module else []
    assert not taken


def imported_from_outside(path: Path) -> list[tuple[str, str]]:
    """What a file beside the package imports."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
    return found


# What no file may say


def tracked() -> list[Path]:
    """The files that git tracks, or would if they were added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.splitlines() if (path := ROOT / name).is_file()]


def test_no_file_names_a_machine_or_a_package_index():
    foreign = re.compile(
        r"/(work|root)/"
        r"|\b(pypi|files\.pythonhosted|download\.pytorch|registry\.npmjs|conda\.anaconda)\.org"
    )
    assert foreign.search("see /" + "root/x") and foreign.search("https://pypi" + ".org/simple")
    found = []
    for path in tracked():
        try:
            found += [f"{path.name}: {m[0]}" for m in foreign.finditer(path.read_text("utf8"))]
        except UnicodeDecodeError:  # not a text
            continue
    assert not found


# The project's address


def repository_lines(root: Path) -> set[str]:
    """What the notebooks' set-up cells have as the project's address."""
    sources = [
        "".join(cell["source"])
        for path in root.glob("notebooks/*.ipynb")
        for cell in json.loads(path.read_text())["cells"]
    ]
    return {m for source in sources for m in re.findall(r'^REPOSITORY = "(.*)"', source, re.M)}


def test_notebooks_have_the_address_of_the_book():
    assert repository_lines(ROOT) == {CONFIG["repository"]["url"]}


@pytest.fixture
def copy(tmp_path):
    """A copy of all that an address is written into, without one."""
    shutil.copy(ROOT / "_config.yml", tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    address.stamp("", tmp_path)
    return tmp_path


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("url", "colab"),
    [
        ("https://example.org/owner/project", ""),
        ("https://github.com/OWNER/REPO", "https://colab.research.google.com"),
    ],
)
def test_address_goes_in_and_comes_out_again(copy, url, colab):
    before = contents(copy)
    for given in (url, f"{url}/", f"{url}.git"):  # again changes nothing
        address.stamp(given, copy)
        config = yaml.safe_load((copy / "_config.yml").read_text())
        assert config["repository"]["url"] == url
        assert config["html"]["use_repository_button"] is True
        assert config["html"]["use_issues_button"] is True
        assert config["launch_buttons"]["colab_url"] == colab
        assert repository_lines(copy) == {url}
    address.stamp("", copy)
    assert contents(copy) == before


def test_links_of_an_address_have_the_right_form(copy):
    url = address.stamp("https://github.com/OWNER/my.repo", copy)
    project, issues, *colab = address.links(url, copy)
    assert (project, issues) == (url, f"{url}/issues")
    branch = CONFIG["repository"]["branch"]
    for link, notebook in zip(colab, NOTEBOOKS, strict=True):
        start = f"https://colab.research.google.com/github/OWNER/my.repo/blob/{branch}/"
        assert link.startswith(start)
        assert (ROOT / link.removeprefix(start)) == notebook  # a file of this project, an .ipynb
    elsewhere = address.links("https://example.org/owner/project", copy)
    assert elsewhere == [
        "https://example.org/owner/project",
        "https://example.org/owner/project/issues",
    ]
    assert address.links("") == []


def test_the_command_leaves_no_difference(copy):
    """As `make address` does it, in a project of its own."""
    (copy / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "address.py", copy / "tools")
    before = contents(copy)
    run = [sys.executable, str(copy / "tools" / "address.py")]
    done = subprocess.run([*run, "https://github.com/OWNER/REPO"], capture_output=True, text=True)
    assert done.returncode == 0 and contents(copy) != before
    assert done.stdout.count("https://colab.research.google.com/") == len(NOTEBOOKS)
    subprocess.run([*run, ""], check=True, capture_output=True)
    assert contents(copy) == before


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/owner/project",
        "https://example.org",
        "https://example.org/owner",
        "https://user:secret@example.org/owner/project",
        'https://example.org/owner/project"; import os',
        "owner/project",
    ],
)
def test_bad_address_is_refused_and_nothing_changes(copy, url):
    before = contents(copy)
    with pytest.raises(ValueError, match="expected https://HOST/OWNER/PROJECT"):
        address.stamp(url, copy)
    assert contents(copy) == before


def test_address_without_its_place_changes_nothing(copy):
    config = copy / "_config.yml"
    config.write_text(config.read_text().replace("use_issues_button", "use_other_button"))
    before = contents(copy)
    with pytest.raises(ValueError, match=r"0 lines fit .*use_issues_button"):
        address.stamp("https://example.org/owner/project", copy)
    assert contents(copy) == before
