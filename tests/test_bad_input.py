"""Wrong commands and wrong files: one panel, exit 2, no traceback, nothing written."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, command, done, start, tiny, tree

DIGITS = ["run", *TINY]
FILES = ["run", "dataset=files", "encoder=none", "dataset.target=0", "budget.unit=labels"]
TABLE = [*FILES, "dataset.train=mine/table.csv", "dataset.label=kind"]

# What the folder `mine` holds.
GOOD = "a,b,words,kind\n" + "".join(f"{i},{i % 7},word {i},{'xyz'[i % 3]}\n" for i in range(60))
TEXTS = {
    "table.csv": GOOD,
    "nan.csv": GOOD.replace("3,3,word 3,x", "3,3,word 3,"),
    "hole.csv": GOOD.replace("4,4,word 4", "4,,word 4"),
    "constant.csv": re.sub(r",[xyz]\n", ",x\n", GOOD),
    "unseen.csv": GOOD.replace(",x\n", ",w\n"),
    "fewer.csv": GOOD.replace("a,b,", "a,c,"),
    "semi.csv": GOOD.replace(",", ";"),
    "tabs.csv": GOOD.replace(",", "\t"),
    "ids.csv": "a,kind\n" + "".join(f"{i},c{i}\n" for i in range(30)),
    "empty.csv": "",
    "header.csv": "a,b,words,kind\n",
    "broken.jsonl": '{"a": 1, "kind": "x"}\n{"a": \n',
    "list.jsonl": "[1, 2]\n",
    "table.xyz": GOOD,
    "broken.parquet": "this is no parquet",
    "broken.npz": "this is no zip",
    "syntax.py": "def broken(:\n",
    "raises.py": "1 / 0\n",
    "imports.py": "import no_such_package_anywhere\n",
    "untyped.py": "from alrun.registry import strategy\n\n@strategy\ndef untyped(view, n, *, reach): ...\n",
    "unknown.py": "from alrun.registry import strategy\n\n@strategy\ndef unknown(view, n, *, reach: 'Nope'): ...\n",
    "twice.py": "from alrun.registry import strategy\n\n@strategy\ndef badge(view, n): ...\n",
    "strategy/odd.yaml": "# Mine\nname: odd\nmethod: odd\n",
    "strategy/typo.yaml": "# Mine\nname: typo\nmethod: maxherding\nkernel: rbf\nsgima: 1.0\n",
    "strategy/short.yaml": "# Mine\nname: short\nmethod: maxherding\nkernel: rbf\n",
    "strategy/nameless.yaml": "# Mine\nkernel: rbf\n",
    "strategy/dots.yaml": "# Mine\nname: ../../dots\nmethod: random\n",
    "strategy/broken.yaml": "name: [broken\n",
    "budget/lots.yaml": "# Mine\nname: lots\nphases:\n  - {labels: lots, cycles: 1}\n",
    "budget/unit.yaml": "# Mine\nname: unit\nunit: dozens\nphases:\n  - {labels: 1, cycles: 1}\n",
    "experiment/typo.yaml": "# @package _global_\nseeed: 1\n",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A folder with wrong files, and with finished runs to damage."""
    root = tmp_path_factory.mktemp("bad")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr("alrun.run.draw_run", lambda folder, formats: [])
        for name, text in TEXTS.items():
            path = root / "mine" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        binary = np.arange(60) % 3
        np.savez(
            root / "mine" / "arrays.npz", x=np.random.default_rng(0).normal(size=(60, 4)), y=binary, short=binary[:9]
        )
        np.savez(root / "mine" / "objects.npz", x=np.array([{}, []] * 30, object), y=binary)
        for seed in range(5):
            done("strategy=random", f"seed={seed}")
    return root


@pytest.fixture
def stage(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to stand in."""
    monkeypatch.chdir(made)
    return made


def folder(seed: int) -> str:
    """The folder of one of the finished runs."""
    found = sorted(Path("outputs").glob(f"digits/*/*/s{seed}-*"))
    assert len(found) == 1
    return str(found[0])


def newer() -> list[str]:
    """A run of a later alrun."""
    path = Path(folder(1)) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    return ["strategy=random", "seed=1"]


def edited() -> list[str]:
    """A config that someone changed, and so an unfinished run of something else."""
    path = Path(folder(2)) / "config.yaml"
    path.write_text(path.read_text().replace("target: 2", "target: 3"))
    (path.parent / "summary.json").unlink(missing_ok=True)
    return ["strategy=random", "seed=2"]


def torn() -> list[str]:
    """A config that is no YAML any more."""
    path = Path(folder(3)) / "config.yaml"
    path.write_text("dataset: [\n")
    return ["strategy=random", "seed=3"]


def elsewhere() -> list[str]:
    """A run that was begun on other data."""
    path = Path(folder(4)) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fingerprint": "0" * 64}))
    return ["strategy=random", "seed=4"]


def foreign() -> str:
    """A folder that another program wrote."""
    path = Path("foreign/run.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"project": "another"}')
    return "foreign"


def unset() -> list[str]:
    """A config that asks for an environment variable."""
    path = Path("mine/experiment/elsewhere.yaml")
    path.write_text("# @package _global_\ndataset:\n  train: ${oc.env:ALRUN_NOWHERE}/train.csv\n")
    return ["--config-dir", "mine", "experiment=elsewhere"]


def damaged_cache() -> list[str]:
    """A run that would need cached features whose file was cut."""
    import os

    here = Path("cache").resolve()
    if not here.exists():
        shutil.copytree(os.environ["ALRUN_CACHE"], here)
        for path in here.glob("features/*/features.npy"):
            os.truncate(path, path.stat().st_size - 1)
    os.environ["ALRUN_CACHE"] = str(here)
    return ["strategy=random", "seed=9", "runs_dir=other"]


Words = list[str] | Callable[[], list[str]]
ROWS: list[tuple[str, Words, str]] = [
    # -- flags and commands
    ("unknown command", ["rnu"], "No such command 'rnu'"),
    ("unknown flag", ["run", "--nope"], "No such option"),
    ("flag without value", ["run", "--jobs"], "requires an argument"),
    ("jobs of zero", ["run", "-m", "--jobs", "0"], "Invalid value for '--jobs'"),
    ("jobs that is no number", ["run", "-m", "--jobs", "two"], "Invalid value for '--jobs'"),
    ("jobs without a sweep", [*DIGITS, "--jobs", "2"], "--jobs 2 is for sweeps"),
    ("config dir missing", [*DIGITS, "--config-dir", "nowhere"], "'nowhere' does not exist"),
    ("config dir is a file", [*DIGITS, "--config-dir", "mine/table.csv"], "is a file"),
    ("plot of nothing", ["plot", "nowhere"], "nowhere"),
    ("plot format", ["plot", "outputs", "--format", "bmp"], "no figure format bmp"),
    ("plot no format", ["plot", "outputs", "--format", ","], "no figure format"),
    ("plot one bad format", ["plot", "outputs", "--format", "png,gif"], "no figure format gif"),
    ("ls of nothing", ["ls", "strategy"], "did you mean strategies?"),
    ("ls foo", ["ls", "foo"], "nothing called 'foo' to list"),
    ("ls missing path", ["ls", "runs", "nowhere"], "no such path: nowhere"),
    ("ls of a folder", ["ls", "mine"], "alrun ls runs mine"),
    ("show unknown", ["show", "bagde"], "did you mean badge?"),
    ("show folder", ["show", "mine"], "is no run folder"),
    ("show nothing", ["show"], "Missing argument"),
    ("cp unknown", ["cp", "strategy/nope", "mine"], "no config is called 'strategy/nope'"),
    ("cp clobbers", ["cp", "strategy/maxherding", "mine", "--as", "short"], "short.yaml exists"),
    ("cp odd name", ["cp", "strategy/badge", "mine", "--as", "../x"], "cannot be the name of a config"),
    ("cp ambiguous", ["cp", "strategy/badge", "mine/table.csv"], "mine/table.csv"),
    ("cp without folder", ["cp", "strategy/badge"], "Missing argument"),
    ("resume missing", ["resume", "nowhere"], "no such path: nowhere"),
    ("cache unknown", ["cache", "nope"], "nope"),
    # -- overrides
    ("misspelt option", [*DIGITS, "strategy=bagde"], "did you mean badge?"),
    ("unknown option", [*DIGITS, "strategy=zzz"], "strategy has no option 'zzz'"),
    ("unknown dataset", ["run", "dataset=zzz"], "dataset has no option 'zzz'"),
    ("unknown experiment", [*DIGITS, "experiment=zzz"], "experiment"),
    ("misspelt key", [*DIGITS, "budget.phasse=[]"], "did you mean budget.phases?"),
    ("misspelt root key", [*DIGITS, "sed=1"], "did you mean seed?"),
    ("misspelt group", [*DIGITS, "strategi=badge"], "did you mean strategy?"),
    ("misspelt part key", [*DIGITS, "strategy=maxherding", "strategy.sgima=1"], "did you mean strategy.sigma?"),
    ("short part key", [*DIGITS, "strategy=uherding", "strategy.sigm=1"], "did you mean strategy.sigma?"),
    ("part without options", [*DIGITS, "strategy=random", "strategy.sigm=1"], "the chosen strategy has no options"),
    ("key unlike any", [*DIGITS, "strategy=maxherding", "strategy.zzzz=1"], "its options: kernel, sigma"),
    ("smuggled key", [*DIGITS, "+nope=1"], "'nope' not in 'Run'"),
    ("smuggled nested key", [*DIGITS, "+budget.foo=1"], "'foo' not in 'BudgetConfig'"),
    ("smuggled part key", [*DIGITS, "strategy=maxherding", "+strategy.foo=1"], "its options: kernel, sigma"),
    ("deleted key", [*DIGITS, "~strategy"], "strategy"),
    ("no value", [*DIGITS, "seed"], "an override is key=value"),
    ("brackets", [*DIGITS, "+a=[1,[/red]"], "cannot read '+a=[1,[/red]'"),
    ("several values", [*DIGITS, "seed=1,2"], "add -m to sweep over them"),
    ("several options", [*DIGITS, "strategy=badge,margin"], "add -m to sweep over them"),
    ("empty sweep", ["run", "-m", *TINY, "seed=range(0)"], "the sweep has no runs"),
    ("one wrong cell", ["run", "-m", *TINY, "strategy=random,nope"], "strategy has no option 'nope'"),
    ("launcher", ["run", "-m", *TINY, "seed=1,2", "hydra/launcher=slurm"], "hydra/launcher has no option 'slurm'"),
    ("interpolation", [*DIGITS, "seed=${nope}"], "nope"),
    # -- values
    ("wrong type", [*DIGITS, "seed=abc"], "Value 'abc' of type 'str' could not be converted to Integer"),
    ("fraction for a whole", [*DIGITS, "seed=2.5"], "could not be converted to Integer"),
    ("negative seed", [*DIGITS, "seed=-1"], "seed=-1 is negative"),
    ("no seed", [*DIGITS, "seed=null"], "seed"),
    ("threads of zero", [*DIGITS, "threads=0"], "threads=0 is below 1"),
    ("unknown device", [*DIGITS, "device=abacus"], "abacus"),
    ("absent device", [*DIGITS, "device=cuda:99"], "cuda:99"),
    ("strategy's type", [*DIGITS, "strategy=maxherding", "strategy.sigma=wide"], "could not be converted to Float"),
    ("strategy's member", [*DIGITS, "strategy=maxherding", "strategy.kernel=rfb"], "rfb"),
    ("model's nan", [*DIGITS, "model.penalty=nan"], "model.penalty is nan"),
    ("variable not set", lambda: [*DIGITS, *unset()], "the environment variable ALRUN_NOWHERE is not set"),
    ("model's type", [*DIGITS, "model.penalty=strong"], "could not be converted to Float"),
    ("no phases", [*DIGITS, "budget.phases=[]"], "the budget has no phases"),
    ("a phase of nothing", [*DIGITS, "budget.phases=[{labels: 0, cycles: 3}]"], "0 labels and 3 cycles buys nothing"),
    ("a phase's key", [*DIGITS, "budget.phases=[{labels: 1, cylces: 3}]"], "cylces"),
    (
        "phases that are none",
        [*DIGITS, "budget.phases=7"],
        "a list of phases: 'budget.phases=[{labels: 3, cycles: 4}]'",
    ),
    ("one cycle over pool", ["run", "dataset=wine", "budget=high"], "lower the labels of a cycle"),
    ("budget over pool", ["run", "dataset=digits", "budget=high"], "asks for 10000 labels, the pool has 1208 items"),
    ("initial over pool", [*DIGITS, "budget.initial=random", "budget.initial_labels=99"], "the pool has 150 items"),
    ("initial unused", [*DIGITS, "budget.initial_labels=3"], "is not used with budget.initial=none"),
    ("initial unknown", [*DIGITS, "budget.initial=some"], "some"),
    ("initial of none", [*DIGITS, "budget.initial=random"], "draws 0 labels"),
    ("pool over data", [*DIGITS, "dataset.pool=99999"], "dataset.pool=99999 asks for more than the"),
    ("pool of none", [*DIGITS, "dataset.pool=0"], "dataset.pool=0 is below 1"),
    ("target too large", [*DIGITS, "dataset.target=500"], "too few for dataset.target=500"),
    ("target negative", [*DIGITS, "dataset.target=-1"], "dataset.target=-1 is negative"),
    ("tail below one", [*DIGITS, "dataset.imbalance=0.5"], "dataset.imbalance=0.5 is below 1"),
    ("tail too long", [*DIGITS, "dataset.imbalance=100000"], "leaves no item of class"),
    ("tail of nan", [*DIGITS, "dataset.imbalance=.nan"], "dataset.imbalance"),
    ("noise over one", [*DIGITS, "dataset.label_noise=1.5"], "dataset.label_noise=1.5 is not a share"),
    ("name with dots", [*DIGITS, "dataset.name=../../etc", "+dataset.method=digits"], "cannot be part of a path"),
    ("dots as name", [*DIGITS, "dataset.name='..'", "dataset.method=digits"], "cannot be part of a path"),
    ("empty name", [*DIGITS, "dataset.name=''", "dataset.method=digits"], "cannot be part of a path"),
    ("runs_dir is a file", [*DIGITS, "runs_dir=mine/table.csv"], "mine/table.csv"),
    ("key of another dataset", [*DIGITS, "dataset.train=x.csv"], "dataset.train is not used by 'digits'"),
    ("share of a dataset", [*DIGITS, "dataset.test=2"], "is not a share between 0 and 1"),
    ("encoder for texts", [*DIGITS, "encoder=minilm"], "minilm"),
    # -- the user's own files
    ("no file", [*FILES, "dataset.label=kind"], "dataset=files needs dataset.train"),
    ("missing file", [*FILES, "dataset.train=nope.csv", "dataset.label=kind"], "dataset.train=nope.csv does not exist"),
    ("folder as file", [*FILES, "dataset.train=mine", "dataset.label=kind"], "is a folder"),
    ("path with brackets", [*FILES, "'dataset.train=mine/[red]x.csv'", "dataset.label=kind"], "cannot read"),
    ("quoted brackets", [*FILES, "dataset.train='mine/[red]x.csv'", "dataset.label=kind"], "mine/[red]x.csv"),
    ("missing label", [*FILES, "dataset.train=mine/table.csv"], "dataset=files needs dataset.label"),
    ("misspelt label", [*FILES, "dataset.train=mine/table.csv", "dataset.label=knid"], "knid"),
    ("misspelt column", [*TABLE, "dataset.input=wrods"], "wrods"),
    ("words as numbers", [*TABLE, "dataset.input=[a,words]"], "words"),
    ("labels with NaN", [*FILES, "dataset.train=mine/nan.csv", "dataset.label=kind"], "row 3"),
    ("numbers with NaN", [*FILES, "dataset.train=mine/hole.csv", "dataset.label=kind"], "missing or infinite"),
    ("constant labels", [*FILES, "dataset.train=mine/constant.csv", "dataset.label=kind"], "nothing to learn"),
    ("labels that are ids", [*FILES, "dataset.train=mine/ids.csv", "dataset.label=kind"], "these are not classes"),
    ("unseen classes", [*TABLE, "dataset.test=mine/unseen.csv"], "classes without train items: 'w'"),
    ("columns differ", [*TABLE, "dataset.test=mine/fewer.csv"], "'b'"),
    ("missing test file", [*TABLE, "dataset.test=mine/no.csv"], "dataset.test=mine/no.csv does not exist"),
    ("test share", [*TABLE, "dataset.test=1.5"], "is not a share between 0 and 1"),
    ("empty file", [*FILES, "dataset.train=mine/empty.csv", "dataset.label=kind"], "empty.csv"),
    ("no rows", [*FILES, "dataset.train=mine/header.csv", "dataset.label=kind"], "has no rows"),
    ("semicolons", [*FILES, "dataset.train=mine/semi.csv", "dataset.label=kind"], "semicolons between its columns"),
    ("tabs", [*FILES, "dataset.train=mine/tabs.csv", "dataset.label=kind"], "tabs: name it .tsv"),
    ("unknown ending", [*FILES, "dataset.train=mine/table.xyz", "dataset.label=kind"], "does not read .xyz"),
    ("broken lines", [*FILES, "dataset.train=mine/broken.jsonl", "dataset.label=kind"], "line 2 is not JSON"),
    ("lists in lines", [*FILES, "dataset.train=mine/list.jsonl", "dataset.label=kind"], "is not an object"),
    ("broken parquet", [*FILES, "dataset.train=mine/broken.parquet", "dataset.label=kind"], "cannot be read"),
    ("broken npz", [*FILES, "dataset.train=mine/broken.npz", "dataset.label=y"], "broken.npz"),
    ("misspelt array", [*FILES, "dataset.train=mine/arrays.npz", "dataset.input=z", "dataset.label=y"], "z"),
    ("short array", [*FILES, "dataset.train=mine/arrays.npz", "dataset.input=x", "dataset.label=short"], "9"),
    ("pickled array", [*FILES, "dataset.train=mine/objects.npz", "dataset.input=x", "dataset.label=y"], "x"),
    # -- plugins and the user's own configs
    ("missing plugin", [*DIGITS, "plugins=[mine/no.py]"], "no plugin file"),
    ("plugin syntax", [*DIGITS, "plugins=[mine/syntax.py]"], "syntax.py, line 1: SyntaxError"),
    ("plugin raises", [*DIGITS, "plugins=[mine/raises.py]"], "raises.py, line 1: ZeroDivisionError"),
    ("plugin imports", [*DIGITS, "plugins=[mine/imports.py]"], "ModuleNotFoundError"),
    ("plugin of another kind", [*DIGITS, "plugins=[mine/table.csv]"], "is not a Python file"),
    ("plugin takes a name", [*DIGITS, "plugins=[mine/twice.py]"], "two strategies are called 'badge'"),
    ("no such function", [*DIGITS, "--config-dir", "mine", "strategy=odd"], "no strategy function is called 'odd'"),
    (
        "option without type",
        [*DIGITS, "--config-dir", "mine", "strategy=odd", "strategy.method=untyped", "plugins=[mine/untyped.py]"],
        "reach has no type",
    ),
    (
        "option of unknown type",
        [*DIGITS, "--config-dir", "mine", "strategy=odd", "strategy.method=unknown", "plugins=[mine/unknown.py]"],
        "Nope",
    ),
    ("own typo", [*DIGITS, "--config-dir", "mine", "strategy=typo"], "did you mean sigma?"),
    ("own option missing", [*DIGITS, "--config-dir", "mine", "strategy=short"], "has no value for sigma"),
    ("own name missing", [*DIGITS, "--config-dir", "mine", "strategy=nameless"], "strategy has no name"),
    ("own name with dots", [*DIGITS, "--config-dir", "mine", "strategy=dots"], "cannot be part of a path"),
    ("own YAML broken", [*DIGITS, "--config-dir", "mine", "strategy=broken"], "broken.yaml"),
    ("own budget's type", [*DIGITS[:-1], "--config-dir", "mine", "budget=lots"], "lots"),
    ("own budget's unit", [*DIGITS[:-1], "--config-dir", "mine", "budget=unit"], "dozens"),
    ("own experiment", [*DIGITS, "--config-dir", "mine", "experiment=typo"], "seeed"),
    # -- what lies on the disk
    ("newer run", lambda: [*DIGITS, *newer()], "was written in schema 2, this alrun knows schema 1"),
    ("newer run, afresh", lambda: [*DIGITS, *newer(), "--fresh"], "update alrun"),
    ("newer run, in a sweep", lambda: ["run", "-m", *TINY, *newer()[:1], "seed=1,6"], "was written in schema 2"),
    ("newer run, shown", lambda: (newer(), ["show", folder(1)])[1], "was written in schema 2"),
    ("foreign, resumed", lambda: ["resume", foreign()], "foreign is no run: its run.json is not alrun's"),
    ("foreign, shown", lambda: ["show", foreign()], "foreign is no run"),
    ("foreign, compared", lambda: ["compare", foreign()], "foreign: its run.json is not alrun's"),
    ("edited config", lambda: [*DIGITS, *edited()], "was changed by hand"),
    ("edited config, resumed", lambda: (edited(), ["resume", folder(2)])[1], "was changed by hand"),
    ("torn config", lambda: [*DIGITS, *torn()], "cannot be read"),
    ("other data", lambda: [*DIGITS, *elsewhere()], "have changed since it began"),
]


def flat(text: str) -> str:
    """A panel's text on one line, without its frame."""
    return re.sub(r"\s+", " ", re.sub(r"[│╭╮╰╯─]", " ", text))


def squeezed(text: str) -> str:
    """The same without spaces: a panel breaks long words."""
    return re.sub(r"\s", "", flat(text))


@pytest.mark.parametrize(("words", "fragment"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_is_one_panel_and_writes_nothing(words: Words, fragment: str, stage: Path) -> None:
    argv = words() if callable(words) else words
    before = tree(stage)
    result = command(*argv)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert squeezed(fragment) in squeezed(result.stderr)
    assert result.stderr.count("╭") == 1
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert tree(stage) == before


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["strategy=alfamix", "model=knn"], "a linear last layer"),
        (["strategy=less_instruct"], "this model has its last layer alone"),
        (["model=causal_lm"], "reads prompts and completions"),
        (["strategy=maxherding", "strategy.sigma=-1"], "strategy.sigma=-1.0 is not a radius"),
        (["strategy=uherding", "strategy.sigma=0"], "strategy.sigma=0.0 is not a radius"),
        (["strategy=badge_herding", "strategy.sigma=inf"], "strategy.sigma=inf is not a radius"),
    ],
)
def test_what_shows_only_in_the_first_cycle_leaves_no_folder(words: list[str], fragment: str, stage: Path) -> None:
    before = tree(stage)
    result = command(*DIGITS, *words, "runs_dir=new/place")
    assert result.exit_code == 2, result.output
    assert squeezed(fragment) in squeezed(result.stderr)
    assert result.stderr.count("╭") == 1
    assert tree(stage) == before and not Path("new").exists()


def test_what_was_there_before_stays(stage: Path) -> None:
    argv = [*DIGITS, "strategy=alfamix", "model=knn", "runs_dir=there"]
    mine = Path("there/notes.txt")
    mine.parent.mkdir()
    mine.write_text("mine")
    assert command(*argv).exit_code == 2
    assert list(Path("there").rglob("*")) == [mine]
    shutil.rmtree("there")


def test_a_damaged_cache_is_named(stage: Path, monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    monkeypatch.setenv("ALRUN_CACHE", str(shared_cache))  # to be put back
    argv = [*DIGITS, *damaged_cache()]
    result = command(*argv)
    assert result.exit_code == 2
    assert "cached features are damaged" in flat(result.stderr)
    assert "alrun cache --clear" in flat(result.stderr)


def test_there_are_enough() -> None:
    assert len(ROWS) >= 60
    assert len({name for name, *_ in ROWS}) == len(ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["misspelt option", "missing file", "unknown flag", "plugin syntax"])
def test_the_same_as_a_command(name: str, stage: Path) -> None:
    words, fragment = next(row[1:] for row in ROWS if row[0] == name)
    assert isinstance(words, list)
    before = tree(stage)
    with start(*words) as process:
        said, complaint = process.communicate()
    assert process.returncode == 2
    assert squeezed(fragment) in squeezed(complaint)
    assert "Traceback" not in complaint
    assert said == ""
    assert tree(stage) == before


def test_tiny_is_right(stage: Path) -> None:
    """The rows above are wrong in one thing only: what they add to this."""
    assert tiny().dataset.name == "digits"
