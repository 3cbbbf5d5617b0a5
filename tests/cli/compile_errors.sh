cp "$DATA"/*.graph .
echo precious > net.anf
t compile missing.graph -o net.anf
t compile . -o net.anf
t compile file.graph -o net.anf
: > empty.graph
t compile empty.graph -o net.anf
echo 'not a graph' > words.graph
t compile words.graph -o net.anf
printf 'aneforge-graph 1\nx = input f16[2]\ny = sofmax(x)\nreturn y\n' > typo.graph
t compile typo.graph -o net.anf
printf 'aneforge-graph 1\nx = input f16[2,3]\ny = matmul(x, x)\nreturn y\n' > shape.graph
t compile shape.graph -o net.anf
printf 'aneforge-graph 1\nx = input f16[2]\ny = softmax(x, axis=3)\nreturn y\n' > attr.graph
t compile attr.graph -o net.anf
printf 'aneforge-graph 1\nx = input f16[2]\n' > none.graph
t compile none.graph -o net.anf
printf 'aneforge-graph 1\nw = const f16[1] file("../w.npy", "")\nreturn w\n' > outside.graph
t compile outside.graph -o net.anf
printf 'aneforge-graph 1\nw = const f16[1] file("/etc/w.npy", "")\nreturn w\n' > absolute.graph
t compile absolute.graph -o net.anf
mkdir weights
echo junk > weights/w.npy
t compile file.graph -o net.anf
q run pair.graph zeros zeros -o weights/w.npz
printf 'aneforge-graph 1\nw = const f16[1] file("weights/w.npz", "other")\nreturn w\n' > entry.graph
t compile entry.graph -o net.anf
cat net.anf
t compile pair.graph -o nowhere/net.anf
mkdir folder
t compile pair.graph -o folder
t compile pair.graph -o pair.anf -q
t compile pair.anf -o net.anf
t explain pair.anf --stages
t explain pair.anf --opt none
head -c 100 pair.anf > cut.anf
t compile cut.anf -o net.anf
t explain cut.anf
cp pair.anf bad.anf
printf 'XX' | dd of=bad.anf bs=1 seek=100 conv=notrunc 2> /dev/null
t explain bad.anf
printf '\000\001\002\003 some other binary file' > other.bin
t explain other.bin
cat net.anf
ls
