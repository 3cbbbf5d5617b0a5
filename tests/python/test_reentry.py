"""Python code that runs in the middle of a call, and takes away what the call is about to use.

Converting an argument runs its methods, making an object may run finalizers. Each case is a process
of its own, since what it looks for ends one; memory that is freed is overwritten there.
"""
import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import aneforge as af
from aneforge import _core

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def small():
    return af.compile(af.input((2, 3)) + 1)


class Doing:
    """Does something when it is converted, then is what it was made of."""

    def __init__(self, action, value):
        self.action, self.value = action, value

    def convert(self, *_, **__):
        self.action()
        return self.value

    def __repr__(self):
        return "Doing"

    __index__ = __fspath__ = __array__ = __float__ = convert


def raises(kind, message, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        assert str(error) == message, error
    else:
        raise AssertionError(f"no {kind.__name__}")


def a_path_releases():
    net = small()
    raises(RuntimeError, "this model has been released", net.save, Doing(net.release, "unused"))
    assert not os.path.exists("unused")


def a_path_is_refused_before_the_model_is_looked_at():
    net = small()
    net.release()
    raises(TypeError, "expected str, bytes or os.PathLike object, not int", net.save, 3)


def the_number_of_a_view_releases():
    for view in ("input_view", "output_view"):
        net = small()
        array = getattr(net, view)(Doing(net.release, 0))
        assert array.shape == (2, 3) and array.dtype == np.float16
        assert repr(net) == "<aneforge.Model released>"


def the_number_of_a_view_ends_its_state():
    net = small()
    states = [net.new_state()]
    array = states[0].input_view(Doing(states.clear, 0))
    array[:] = 1
    states = [net.new_state()]
    states[0].share_buffer(Doing(states.clear, 0), 0)


def an_array_releases():
    net = small()
    np.testing.assert_array_equal(net(Doing(net.release, A)), A + 1)


def made_of(name):
    return _core.input(type(name, (af.Tensor,), {"__slots__": ()}), (2, 3))


def an_attribute_collects_the_class_of_the_operands():
    joined = af.concat((made_of(name) for name in ("First", "Second")), Doing(gc.collect, 0))
    assert type(joined).__name__ == "First" and joined.shape == (4, 3)


class Changing:
    """A number that takes the class of the other operand away."""

    dtype = np.dtype("f4")

    def __init__(self, tensor):
        self.tensor = tensor

    @property
    def ndim(self):
        self.tensor.__class__ = type("Other", (af.Tensor,), {"__slots__": ()})
        gc.collect()
        return 0

    def __float__(self):
        return 1.0


def an_operand_changes_the_class_of_the_other():
    for function in (lambda a, b: a + b, af.maximum):
        tensor = made_of("First")
        assert type(function(tensor, Changing(tensor))).__name__ == "First"
        assert type(tensor).__name__ == "Other"


def an_attribute_leaves_its_dict():
    given = {}
    given["axis"] = Doing(given.clear, "no number")
    raises(TypeError, "softmax: axis: needs an integer, given Doing", _core.op, "softmax",
           (af.input((2, 3)),), given)


def a_finalizer_releases():
    class Cycle:
        def __init__(self, net):
            self.net, self.me = net, self

        def __del__(self):
            self.net.release()

    x = af.input((2, 3))
    weights = [np.ones((3, 2))] * 3
    before = gc.get_threshold()
    for look in (lambda net: net.inputs, lambda net: net.outputs, lambda net: net.compression, repr,
                 lambda net: net.n_ops, af.Model.explain, af.Model.new_state, af.Model.input_view,
                 lambda net: net(A)):
        for outputs in range(1, 4):
            net = af.compile([x @ w for w in weights[:outputs]], compress="int8")
            gc.collect()
            # Small containers that CPython keeps for new ones are used up: each new one counts.
            kept = [[] for _ in range(1000)]
            kept += [tuple(range(n)) for n in range(1, 5) for _ in range(3000)]
            Cycle(net)
            gc.set_threshold(1)
            try:
                look(net)
            except RuntimeError as error:
                assert str(error) == "this model has been released"
            gc.set_threshold(*before)
            del kept


def a_state_starts_to_run_while_its_ports_are_looked_up():
    x = af.input((256, 256))
    w = np.eye(256, dtype=np.float16)
    state, done = af.compile(x @ w @ w @ w @ w).new_state(), threading.Event()

    def run():
        while not done.is_set():
            state.execute()

    def wait():
        thread.start()
        while True:
            try:
                state.input_view()
            except RuntimeError:
                return

    for function, say in ((lambda n: state.share_buffer(0, n), "share_buffer"),
                          (state.input_view, "input_view")):
        done.clear()
        thread = threading.Thread(target=run)
        try:
            raises(RuntimeError, f"{say}: this state is running in another thread; "
                   "use Model.new_state() per thread", function, Doing(wait, 0))
        finally:
            done.set()
            thread.join()


CASES = [a_path_releases, a_path_is_refused_before_the_model_is_looked_at,
         the_number_of_a_view_releases, the_number_of_a_view_ends_its_state, an_array_releases,
         an_attribute_collects_the_class_of_the_operands,
         an_operand_changes_the_class_of_the_other, an_attribute_leaves_its_dict,
         a_finalizer_releases, a_state_starts_to_run_while_its_ports_are_looked_up]


@pytest.mark.parametrize("case", [case.__name__ for case in CASES])
def test_reentry(case, tmp_path):
    code = f"import sys; sys.path[:0] = {sys.path!r}; import test_reentry; test_reentry.{case}()"
    environment = {"PYTHONMALLOC": "debug", **os.environ}  # under a sanitizer it is set already
    done = subprocess.run([sys.executable, "-X", "faulthandler", "-c", code], text=True,
                          check=False, capture_output=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
