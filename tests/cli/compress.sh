# Compressed weights: modes, fallbacks, reports as text and JSON, what info shows of the saved model.
cat > net.graph <<'END'
aneforge-graph 1
x = input f16[1,32]
up = const f16[64,32] random(seed=1, std=0.5)
few = const f16[4,64] fill(0.25)
l = linear(x, up)
a = relu(l)
y = linear(a, few)
return y
END
t compile net.graph -o plain.anf | no_times
t compile --compress int8 --report - net.graph -o int8.anf | no_times
t compile --compress auto --compress-atol 0.1 --report r.json net.graph -o auto.anf -q
cat r.json
t compile --compress auto --target h13 --report r.txt net.graph -o h13.anf -q
cat r.txt
(ANEFORGE_TARGET=h13 && export ANEFORGE_TARGET && t compile --compress auto net.graph -o env.anf -q)
cmp h13.anf env.anf && echo same
t compile --compress none net.graph -o none.anf -q
cmp plain.anf none.anf && echo same
t compile --compress int8 --opt none net.graph -o slow.anf -q
t info auto.anf
t info plain.anf
# The same results at both levels and from plain C.
q run int8.anf random:1 -o a.npy
q run slow.anf random:1 -o b.npy
q run --isa ref --threads 3 int8.anf random:1 -o c.npy
cmp a.npy b.npy && cmp a.npy c.npy && echo same
t compile --compress int9 net.graph -o x.anf
t compile --compress huffman net.graph -o x.anf
t compile --compress blockwise --block-size 0 net.graph -o x.anf
t compile --compress int4 --compress-atol -1 net.graph -o x.anf
t compile --compress auto --target m1 net.graph -o x.anf
t compile --compress int8 --target h12 net.graph -o x.anf
t compile --target h13 net.graph -o x.anf
t info net.graph
t info a b
