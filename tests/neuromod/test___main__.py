import os
import subprocess
import sys

import pytest

START = [sys.executable, "-m", "neuromod"]


@pytest.mark.parametrize("module", ["typer", "rich", "packaging"])
def test_ctrl_c_while_importing_is_quiet(module, tmp_path):
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt")
    ended = subprocess.run(
        [*START, "list"], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")


LOGGED = """
import logging

class Full(logging.FileHandler):
    def _open(self):
        return open("/dev/full", "w")

logging.getLogger().addHandler(Full("journal"))
logging.getLogger().error("37")
raise KeyboardInterrupt
"""


def test_a_disk_too_full_for_a_log_is_not_told_at_each_line(tmp_path):
    """Brian2 begins a log among temporary files when it is imported."""
    (tmp_path / "typer.py").write_text(LOGGED)
    ended = subprocess.run(
        [*START, "list"], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True
    )
    assert (ended.returncode, ended.stderr) == (130, b"")


def test_the_package_is_the_command_line():
    ended = subprocess.run([*START, "describe", "nowhere"], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("There is no")
