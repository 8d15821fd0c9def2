"""What `manualbp` says in a terminal, to the letter that counts, and the code it ends with."""

import subprocess
import sys

import pytest

from manualbp import __version__
from reference import cli


@pytest.fixture
def run(monkeypatch, capsys):
    def called(*arguments):
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
