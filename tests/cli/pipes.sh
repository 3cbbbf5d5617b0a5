# Texts, arrays and images from pipes, which can be read once.
cp "$DATA"/*.graph "$DATA"/rgb_4x2.png .
printf 'aneforge-graph 1\na = input f16[2,3]\nreturn a\n' > a.graph
printf 'aneforge-graph 1\na = input f16[2,3]\nb = input f16[2,3]\nreturn a as "a", b as "b"\n' > ab.graph
q run a.graph random:1 -o a.npy
q run ab.graph random:1 random:2 -o ab.npz
q compile a.graph -o a.anf -q
feed() {
    [ -p pipe ] || mkfifo pipe
    cat "$1" > pipe &
}
feed a.graph; t compile pipe -o b.anf -q
cmp a.anf b.anf && echo same
cat a.graph | t compile /dev/stdin -o c.anf -q
cmp a.anf c.anf && echo same
feed a.npy; t run a.anf pipe --text
cat a.npy | t run a.anf a=/dev/stdin --text
feed ab.npz; t run ab.graph pipe --quiet --text
feed ab.npz; t run a.graph pipe:b --text
feed ab.npz; t run a.graph pipe:c --text
feed rgb_4x2.png; t run picture.graph pipe --resize
feed a.graph; t run pipe a.npy --text
feed classifier.graph; t explain pipe | tail -n 1
feed classifier.graph; t bench pipe --threads 1 --seconds 0.001 | tail -n 1
t bench pipe --threads 1,2
# The arrays of a text from a pipe lie in the current folder.
mkdir weights
printf 'aneforge-graph 1\nx = input f16[1]\nreturn x\n' > one.graph
q run one.graph random -o weights/w.npy
printf 'aneforge-graph 1\nx = input f16[1]\nw = const f16[1] file("weights/w.npy", "")\ny = mul(x, w)\nreturn y\n' > w.graph
cat w.graph | t compile /dev/stdin -o w.anf -q
# What is in a pipe and is wrong.
feed a.npy; t run a.graph a=pipe a=zeros
echo junk > junk; feed junk; t run a.graph pipe
feed junk; t compile pipe -o b.anf
# A saved model is mapped.
feed a.anf; t run pipe a.npy
t info pipe
t compile /dev/zero -o b.anf
t run a.graph /dev/zero
t compile - -o b.anf < /dev/null
