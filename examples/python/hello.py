"""A small convolutional network: build, compile, run."""
import numpy as np

import aneforge as af

rng = np.random.default_rng(0)
W1, W2 = rng.normal(size=(16, 3, 3, 3)) / 5, rng.normal(size=(16, 16, 3, 3)) / 12
Wfc = rng.normal(size=(16, 10)) / 4

x = af.input((1, 3, 32, 32))
h = af.conv(x, W1, pad=1).relu()
h = af.conv(h, W2, pad=1).relu()
y = h.mean((2, 3)).reshape(1, 16) @ Wfc

with af.compile(y) as net:
    print(net)
    print(net(rng.normal(size=(1, 3, 32, 32))))
