"""What `manualbp` says in a terminal, to the letter that counts, and the code it ends with."""

import subprocess
import sys

import pytest

from manualbp import __version__
from reference import cli


@pytest.fixture
def run(monkeypatch, capsys):
    def called(*arguments):
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setattr(sys, "argv", ["manualbp", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return called


def test_the_version_is_printed_without_a_command(run):
    assert run("--version") == (0, f"manualbp {__version__}\n", "")


def test_the_package_is_run_as_the_command():
    told = subprocess.run([sys.executable, "-m", "manualbp", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"manualbp {__version__}\n"


def test_without_a_command_there_is_the_help_and_nothing_else(run):
    code, out, err = run()
    assert code == 2
    assert "verify" in out + err
    assert "manualbp:" not in out + err


def test_an_unknown_layer_is_told_the_nearest_and_no_list(run):
    code, _, err = run("verify", "--layer", "Conv2")
    assert code == 2
    assert err.startswith("manualbp: no --layer is called Conv2; did you mean Conv2d")
    assert len(err) < 120
    assert "README" in run("verify", "--layer", "Qqqq")[2]


def test_of_few_values_all_are_told(run):
    code, _, err = run("verify", "--regime", "exakt")
    assert code == 2
    assert err == "manualbp: --regime takes both, exact, real; it got exakt; did you mean exact?\n"


def test_a_pattern_that_matches_no_node_of_a_model_gets_the_names(run, tmp_path):
    file = tmp_path / "net.py"
    file.write_text("from torch import nn\nmodel = nn.Sequential(nn.Linear(4, 3), nn.Tanh())\n")
    code, _, err = run("verify", f"{file}:model", "--shape", "2,4", "--only", "nope*")
    assert code == 2
    assert "no node of this model is called 'nope*'; there are 0, 1" in err


LAYERS = """from torch import nn
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
    def forward(self, x):
        return x + self.inner(x).tanh()
"""
NET = "from {dots}layers import Block\nfrom . import sizes\nmodel = Block()\n"


@pytest.mark.parametrize("dots", [".", "..blocks."])
def test_a_file_of_a_package_imports_from_its_own_folder(run, tmp_path, dots):
    names = ("outer_one", "nets") if dots == "." else ("outer_two", "nets")
    folder = tmp_path.joinpath(*names)
    folder.mkdir(parents=True)
    (tmp_path / names[0] / "blocks").mkdir()
    for place in (tmp_path / names[0], tmp_path / names[0] / "blocks", folder):
        (place / "__init__.py").touch()
    ((folder if dots == "." else folder.parent / "blocks") / "layers.py").write_text(LAYERS)
    (folder / "sizes.py").write_text("width = 4\n")
    (folder / "net.py").write_text(NET.format(dots=dots))
    code, out, err = run("verify", f"{folder / 'net.py'}:model", "--shape", "2,4")
    assert (code, err) == (0, "")
    assert "inner: Linear(4, 4)" in out


def test_a_file_that_imports_from_a_folder_that_is_no_package_is_told_how(run, tmp_path):
    (tmp_path / "layers.py").write_text(LAYERS)
    (tmp_path / "alone.py").write_text("from .layers import Block\nmodel = Block()\n")
    code, _, err = run("verify", f"{tmp_path / 'alone.py'}:model", "--shape", "2,4")
    assert code == 2
    assert "put an empty __init__.py beside it, or write from other import" in err


def test_a_package_that_is_another_is_told(run, tmp_path):
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").touch()
    (tmp_path / "json" / "decoder.py").write_text(LAYERS + "model = Block()\n")
    code, _, err = run("verify", f"{tmp_path / 'json' / 'decoder.py'}:model", "--shape", "2,4")
    assert code == 2
    assert "is json.decoder, but that is imported from" in err
    assert "rename the folder json" in err


def test_a_name_that_a_file_asks_for_in_vain_is_no_package_to_install(run, tmp_path):
    (tmp_path / "asking.py").write_text("from json import nothing\n")
    code, _, err = run("verify", f"{tmp_path / 'asking.py'}:model", "--shape", "2,4")
    assert code == 2
    assert err.startswith("manualbp: cannot import name 'nothing' from 'json'")


NAMED = """
import torch
from torch import nn
class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.out = nn.Embedding(9, 4), nn.Linear(4, 2)
    def forward(self, ids=None, mask=None, given=None):
        return self.out((self.words(ids) * mask[..., None]).sum(1))
class Batched(Tagger):
    def forward(self, batch):
        return super().forward(**batch)
model, batched = Tagger(), Batched()
sample = dict(ids=torch.randint(0, 9, (2, 5)), mask=torch.ones(2, 5))
"""


@pytest.mark.parametrize("name", ["model", "batched"])
def test_a_sample_may_be_a_dict_of_arguments_by_name(run, tmp_path, name):
    file = tmp_path / f"named_{name}.py"
    file.write_text(NAMED)
    code, out, err = run("verify", f"{file}:{name}")
    assert code == 0, out + err
    assert "words.weight" in out


def test_what_a_sample_may_be_is_said(run, tmp_path):
    file = tmp_path / "bare.py"
    file.write_text("from torch import nn\nmodel = nn.Linear(4, 3)\n")
    assert "a dict of those by name" in run("verify", f"{file}:model")[2]
    assert "a dict of arguments by name" in " ".join(run("verify", "--help")[1].split())


def test_a_light_recording_of_arguments_by_name(run, tmp_path):
    file = tmp_path / "recorded.py"
    file.write_text(
        NAMED.replace("torch.randint(0, 9, (2, 5))", "torch.arange(8).view(2, 4)").replace("(2, 5)", "(2, 4)")
    )
    for how in ([], ["--light"]):
        folder = str(tmp_path / f"golden{len(how)}")
        assert run("record", f"{file}:model", "-o", folder, *how)[0] == 0
        assert run("replay", folder)[0] == 0
