"""The module under test is the one built beside the command of --aneforge."""
import sys
from pathlib import Path


def pytest_pycollect_makemodule(module_path, parent):
    folder = str(Path(parent.config.getoption("--aneforge")).resolve().parent / "python")
    if folder not in sys.path:
        sys.path.insert(0, folder)
