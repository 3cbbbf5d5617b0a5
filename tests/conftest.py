"""Options of every Python test: which command is tested, and whether PyTorch may be absent."""
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption("--aneforge", default=str(ROOT / "build-test" / "aneforge"),
                     help="the command under test (build-test/aneforge)")
    parser.addoption("--module", default="",
                     help="the folder of the Python module under test (python beside the command)")
    parser.addoption("--require-torch", action="store_true",
                     help="fail where PyTorch is not installed, instead of skipping")


def pytest_configure(config):
    config.addinivalue_line("markers", "torch: compares with PyTorch in float64")


@pytest.fixture(scope="session")
def aneforge(request):
    """Absolute path of the command under test."""
    path = Path(request.config.getoption("--aneforge")).resolve()
    if not path.is_file():
        pytest.exit(f"{path} does not exist: build it, or give --aneforge", returncode=2)
    return path
