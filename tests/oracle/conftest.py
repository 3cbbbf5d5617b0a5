"""Every operator of the command under test becomes a parameter of the tests that take `op`; what
one run of the command gives is shared by all comparisons."""
from functools import cache
from pathlib import Path

import pytest

from cases import cases_of
from graph_run import Graph
from op_info import computing_ops, op_info
from samples import Sample


def pytest_generate_tests(metafunc):
    if "op" in metafunc.fixturenames:
        path = Path(metafunc.config.getoption("--aneforge")).resolve()
        metafunc.parametrize("op", computing_ops(path) if path.is_file() else [])


@pytest.fixture(scope="session")
def torch(request):
    try:
        import torch
    except ImportError:
        if request.config.getoption("--require-torch"):
            pytest.fail("PyTorch is not installed, and --require-torch was given")
        pytest.skip("PyTorch is not installed: pip install torch")
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="session")
def samples(aneforge, tmp_path_factory):
    """samples(op, filling): every case of the operator, run in one graph."""
    folder = tmp_path_factory.mktemp("operators")

    @cache
    def run(op, filling):
        info, graph = op_info(aneforge, op), Graph()
        made = [Sample(info, case, filling, graph) for case in cases_of(op)]
        outputs = graph.run(aneforge, folder)
        for sample in made:
            sample.got = outputs[sample.port]
        return made

    return run
