"""Models as objects: arrays of every layout, views, several outputs, saving, threads, lifetimes."""
import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import aneforge as af
from aneforge import _core

F32 = np.float32


def small():
    return af.compile(af.input((4, 6)) * 2 + 1)


A = np.arange(24, dtype=F32).reshape(4, 6) / 8
EXPECTED = A * 2 + 1


class Sub(np.ndarray):
    pass


LAYOUTS = {
    "float16": A.astype(np.float16), "float64": A.astype(np.float64),
    "fortran": np.asfortranarray(A),
    "strided": np.repeat(A, 2, 1)[:, ::2], "negative": A[::-1, ::-1].copy()[::-1, ::-1],
    "broadcast": None, "subclass": A.view(Sub), "readonly": None, "list": A.tolist(),
    "memoryview": memoryview(A), "unaligned": None, "int": None, "bool": None,
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name):
    a = LAYOUTS[name]
    if name == "broadcast":
        a = np.broadcast_to(A[0], A.shape)
    elif name == "readonly":
        a = A.copy()
        a.flags.writeable = False
    elif name == "unaligned":
        a = np.frombuffer(b"\0" + A.tobytes(), np.uint8)[1:].view(F32).reshape(A.shape)
    elif name in ("int", "bool"):
        a = (A > 1).astype(name)
    out = small()(a)
    assert type(out) is np.ndarray and out.dtype == F32
    np.testing.assert_array_equal(out, np.asarray(a, F32) * 2 + 1)


def test_weights_of_every_layout_and_freed_after_use():
    x = af.input((4, 6))
    w = np.arange(12, dtype=np.float64).reshape(6, 2) / 4
    outs = [x @ v for v in (w, w.astype(np.float16), np.asfortranarray(w), w[::-1].copy()[::-1])]
    expected = A @ w
    w[:] = 99
    del w
    gc.collect()
    for got in af.compile(outs)(A):
        np.testing.assert_array_equal(got, expected)


def test_dense_inputs_are_not_copied():
    image = np.zeros((1, 3, 224, 224), np.float16)
    assert _core.address(image) == image.ctypes.data
    assert _core.address(image.astype(F32)[:, :, ::2]) != image.ctypes.data


def test_views():
    net = small()
    x, y = net.input_view(), net.output_view()
    assert x.dtype == y.dtype == np.float16 and x.shape == y.shape == (4, 6)
    assert x.ctypes.data % 64 == 0 and not y.flags.writeable
    assert net.input_view("x0").ctypes.data == x.ctypes.data == net.input_view(0).ctypes.data
    x[:] = A
    net.execute()
    np.testing.assert_array_equal(y, EXPECTED)
    np.testing.assert_array_equal(np.from_dlpack(x), A)
    np.testing.assert_array_equal(net(A + 1), EXPECTED + 2)
    np.testing.assert_array_equal(y, EXPECTED)
    net.release()
    del net
    gc.collect()
    np.testing.assert_array_equal(y, EXPECTED)
    x[:] = 5


def test_an_output_view_is_read_only():
    view = small().output_view()
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1
    with pytest.raises(BufferError, match="^output_view: is read only$"):
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view.base.obj),
                                            ctypes.create_string_buffer(256), 1)  # PyBUF_WRITABLE


def test_a_state_runs_in_one_thread_at_a_time():
    w = np.eye(256, dtype=np.float16)
    x = af.input((256, 256))
    state, done = af.compile(x @ w @ w @ w @ w).new_state(), threading.Event()
    seen = []

    def run():
        while not done.is_set():
            try:
                state.execute()
            except RuntimeError as error:
                seen.append(str(error))
    threads = [threading.Thread(target=run) for _ in range(2)]
    for t in threads:
        t.start()
    deadline = time.monotonic() + 30
    while not seen and time.monotonic() < deadline:
        time.sleep(0.001)
    done.set()
    for t in threads:
        t.join()
    assert set(seen) == {"execute: this state is running in another thread; "
                         "use Model.new_state() per thread"}


def test_several_threads_compile_one_graph():
    w = np.random.default_rng(5).normal(size=(64, 64)) / 8
    y = x = af.input((8, 64))
    for _ in range(200):
        y = (y @ w).tanh() + x
    a = np.ones((8, 64), F32)
    expected = af.compile(y)(a)
    with ThreadPoolExecutor(4) as pool:
        for net in pool.map(lambda _: af.compile(y), range(16)):
            np.testing.assert_array_equal(net(a), expected)


def test_an_image_port_is_viewed_as_bytes():
    net = af.compile(af.image_input((1, 3, 4, 4)) * 1)
    net.input_view()[:] = 255
    assert net.input_view().dtype == np.uint8
    net.execute()
    np.testing.assert_array_equal(net.output_view(), np.ones((1, 3, 4, 4)))


def test_states_share_buffers():
    x, step = af.input((3,)), af.input((3,))
    state = af.compile(x + step).new_state()
    state.share_buffer(0, 0)
    state.input_view(0)[:] = 0
    state.input_view(1)[:] = [1, 2, 3]
    for _ in range(5):
        state.execute()
    np.testing.assert_array_equal(state.input_view(0), [5, 10, 15])


def test_several_outputs_and_inputs_in_the_order_they_were_made():
    first, second, unused = af.input((2,)), af.input((2,)), af.input((9,))
    net = af.compile([second - first, first * second])
    got = net([1, 2], [5, 7])
    assert isinstance(got, tuple)
    np.testing.assert_array_equal(got, [[4, 5], [5, 14]])
    assert net.inputs == (("x0", "float16", (2,)), ("x1", "float16", (2,)))
    assert [name for name, _, _ in net.outputs] == ["y0", "y1"]
    assert unused.shape == (9,)


def test_save_and_load(tmp_path):
    net = small()
    net.save(tmp_path / "net.anf")
    other = af.Model.load(tmp_path / "net.anf")
    np.testing.assert_array_equal(other(A), net(A))
    assert other.n_ops == net.n_ops == 2  # what is multiplied and added are constants


def test_a_file_is_replaced_under_a_loaded_model(tmp_path):
    path = tmp_path / "net.anf"
    w = np.random.default_rng(4).normal(size=(64, 300)).astype(np.float16)
    x = af.input((1, 64))
    for sign in (1, -1):
        af.compile(x @ (w * sign)).save(path)
        if sign == 1:
            old = af.Model.load(path)
            before = old(np.ones((1, 64)))
    af.compile(x + 1).save(path)
    np.testing.assert_array_equal(old(np.ones((1, 64))), before)
    assert "must not change" in af.Model.load.__doc__


def test_opt_0_gives_the_same_bits():
    x = af.input((5, 32))
    y = (x @ np.linspace(-1, 1, 32 * 16).reshape(32, 16)).gelu().softmax() * 3
    a = np.random.default_rng(3).normal(size=(5, 32))
    np.testing.assert_array_equal(af.compile(y)(a), af.compile(y, opt=0)(a))


def test_looking():
    x = af.input((1, 3, 8, 8))
    h = af.conv(x, np.ones((4, 3, 3, 3), F32)).relu()
    assert (h.shape, h.ndim, h.dtype, h.op) == ((1, 4, 6, 6), 4, "float16", "relu")
    assert repr(h) == "<aneforge.Tensor relu float16 (1, 4, 6, 6)>"
    assert repr(x.greater(x)) == "<aneforge.Tensor greater bool (1, 3, 8, 8)>"
    with af.compile(h) as net:
        assert repr(net) == ("<aneforge.Model 2 ops, inputs (('x0', 'float16', (1, 3, 8, 8)),), "
                             "outputs (('y0', 'float16', (1, 4, 6, 6)),)>")
        assert "conv+relu" in net.explain()
    assert repr(net) == "<aneforge.Model released>"


def test_graphs_deeper_than_the_stack():
    y = x = af.input((2,))
    for _ in range(20000):
        y = -y
    np.testing.assert_array_equal(af.compile(y)([1, 2]), [1, 2])
    del x, y


def test_one_model_in_several_threads():
    w = np.random.default_rng(1).normal(size=(256, 256))
    x = af.input((64, 256))
    net = af.compile((x @ w).relu())
    inputs = [np.random.default_rng(i).normal(size=(64, 256)).astype(F32) for i in range(8)]
    alone = [net(a) for a in inputs]
    with ThreadPoolExecutor(4) as pool:
        for a, got in zip(alone * 5, pool.map(net, inputs * 5), strict=True):
            np.testing.assert_array_equal(a, got)


def test_release_during_calls_of_other_threads():
    for _ in range(20):
        w = np.eye(128)
        x = af.input((128, 128))
        net = af.compile(x @ w @ w)
        a = np.ones((128, 128), F32)

        def call(net=net, a=a):
            try:
                for _ in range(50):
                    np.testing.assert_array_equal(net(a), a)
            except RuntimeError as error:
                return str(error)
            return ""
        with ThreadPoolExecutor(2) as pool:
            calls = [pool.submit(call) for _ in range(2)]
            net.release()
        assert {c.result() for c in calls} <= {"", "this model has been released"}


def long_compile():
    """Most of it is one step, in which products of constants are evaluated: keys and values."""
    x, context = af.input((8, 256)), np.zeros((512, 1024))
    square, wide = np.eye(256), np.zeros((256, 1024))
    return af.cross_attention(x, context, square, wide, wide + 1, square, n_heads=4)


def test_a_compile_can_be_interrupted():
    y = long_compile()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            af.compile(y)
    finally:
        signal.signal(signal.SIGINT, before)
    a = np.zeros(24, F32)
    with af.compile(af.input((24,)) + 1) as net:
        np.testing.assert_array_equal(net(a), a + 1)


def test_signals_are_handled_within_a_step():
    """A compile has six steps, and signals that wait for the same moment are handled once."""
    handled, done = [], threading.Event()

    def send():
        while not done.wait(0.01):
            signal.raise_signal(signal.SIGUSR1)
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
    sender = threading.Thread(target=send)
    try:
        y = long_compile()
        handled.clear()
        sender.start()
        af.compile(y)
        count = len(handled)
    finally:
        done.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert count > 9


def test_an_exception_of_a_signal_handler_is_the_one_seen():
    def refuse(*_):
        raise LookupError("told by the handler")
    y, before = long_compile(), signal.signal(signal.SIGUSR1, refuse)
    threading.Timer(0.2, signal.raise_signal, [signal.SIGUSR1]).start()
    try:
        with pytest.raises(LookupError, match="^told by the handler$"):
            af.compile(y)
    finally:
        signal.signal(signal.SIGUSR1, before)


# That a child of several threads can be stuck is what these tests are about.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def in_child(work):
    """The exit code of a child that forks from here: 0 if `work` returns."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(60)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@forks
def test_the_child_of_a_fork_goes_on_with_everything():
    w = np.random.default_rng(1).normal(size=(512, 512)) / 20
    x = af.input((256, 512))
    y = (x @ w).relu() @ w
    net, a = af.compile(y), np.random.default_rng(2).normal(size=(256, 512)).astype(F32)
    expected, state = net(a), net.new_state()

    def work():
        for _ in range(20):
            np.testing.assert_array_equal(net(a), expected)
        state.input_view()[:] = a
        state.execute()
        np.testing.assert_array_equal(state.output_view(), expected)
        np.testing.assert_array_equal(af.compile(y * 2)(a), expected * 2)
        np.testing.assert_array_equal(af.compile(y)(a), expected)
    assert in_child(work) == 0
    assert in_child(lambda: np.testing.assert_equal(in_child(work), 0)) == 0
    work()


@forks
def test_a_fork_while_other_threads_call():
    w = np.random.default_rng(1).normal(size=(512, 512)) / 20
    x = af.input((64, 512))
    net, a = af.compile(x @ w @ w), np.ones((64, 512), F32)
    expected, done = net(a), threading.Event()

    def call():
        while not done.is_set():
            np.testing.assert_array_equal(net(a), expected)
    threads = [threading.Thread(target=call) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        for _ in range(20):
            assert in_child(lambda: np.testing.assert_array_equal(net(a), expected)) == 0
    finally:
        done.set()
        for t in threads:
            t.join()


INHERITED = {}  # reached by children through the fork: a model is not pickled


def total_of(i):
    return float(INHERITED["net"](A + i).sum())


@forks
@pytest.mark.skipif(sys.platform != "linux", reason="multiprocessing forks on Linux")
def test_multiprocessing_by_fork():
    INHERITED["net"] = small()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        answers = pool.map(total_of, range(20))
    assert answers == [float((EXPECTED + 2 * i).sum()) for i in range(20)]


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def grows(work, times, warm):
    for _ in range(warm):
        work()
    gc.collect()
    tracemalloc.start()
    before, rss = tracemalloc.get_traced_memory()[0], resident()
    for _ in range(times):
        work()
    gc.collect()
    traced = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return traced, resident() - rss


def one_compile():
    x = af.input((1, 16))
    with af.compile((x @ np.ones((16, 2000), F32)).relu()) as net:
        net.input_view()
        net(np.ones((1, 16)))
    with pytest.raises(ValueError):
        x.softmax(axis=9)


def test_no_leak_over_compiles():
    traced, rss = grows(one_compile, 1000, 100)
    assert traced < 100_000
    assert rss < 8_000_000  # one leaked weight a compile would be 64 MB


def test_no_leak_over_calls():
    net, bad = small(), A[:, :2]

    def work():
        net(A)
        net(A.T.copy().T)
    traced, rss = grows(work, 50_000, 2000)
    assert traced < 20_000
    assert rss < 4_000_000  # one leaked array of 96 bytes a call would be 9.6 MB
    before = sys.getrefcount(bad)
    for _ in range(1000):
        with pytest.raises(ValueError):
            net(bad)
    assert sys.getrefcount(bad) == before


def test_weights_are_kept_once():
    w, x = np.ones((2048, 2048), np.float64), af.input((1, 2048))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    y = x @ w
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert w.size * 2 <= kept < w.size * 2 + 10_000
    rss = resident()
    net = af.compile(y)
    assert resident() - rss < w.size * 2 + 6_000_000  # the packed weights of the model
    np.testing.assert_array_equal(net(np.ones((1, 2048))), np.full((1, 2048), 2048))


def test_import_is_quick_and_leaves_numpy_alone():
    import subprocess
    code = ("import sys; sys.path[:0] = eval(sys.argv[1]); import aneforge; "
            "assert 'numpy' not in sys.modules")
    subprocess.run([sys.executable, "-c", code, repr(sys.path)], check=True)


def lets_others_run(work):
    """Whether another thread runs while `work` does, again and again: a busy machine may have no core for
    it at once."""
    ticks, inside, done = [], threading.Event(), threading.Event()

    def watch():
        while not done.is_set():
            if inside.is_set():
                ticks.append(1)
            time.sleep(0)
    watcher = threading.Thread(target=watch)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(60)  # only a released GIL lets the watcher in
    watcher.start()
    end = time.monotonic() + 10
    try:
        inside.set()
        while not ticks and time.monotonic() < end:
            work()
        inside.clear()
    finally:
        sys.setswitchinterval(switch)
        done.set()
        watcher.join()
    return bool(ticks)


def test_the_gil_is_free_while_running_rounding_and_compiling():
    w, x = np.ones((1024, 1024), np.float16), af.input((512, 1024))
    y = x @ w @ w @ w
    net, a, wide = af.compile(y), np.zeros((512, 1024), np.float16), np.ones((3000, 3000))
    assert lets_others_run(lambda: net(a))
    assert lets_others_run(lambda: af.input((1, 3000)) @ wide)
    assert lets_others_run(lambda: af.compile(y))
