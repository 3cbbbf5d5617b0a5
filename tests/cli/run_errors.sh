cp "$DATA"/*.graph .
printf 'aneforge-graph 1\na = input f16[2,3]\nreturn a\n' > a.graph
q run a.graph random:1 -o a.npy
q run pair.graph zeros zeros -o both.npz
echo precious > old.npz
echo precious > old.npy
t run missing.anf -o old.npz
t run pair.graph -o old.npz
t run pair.graph a.npy -o old.npz
t run pair.graph a.npy a.npy a.npy -o old.npz
t run pair.graph a.npy a=a.npy a=a.npy -o old.npz
t run pair.graph c=a.npy -o old.npz
t run pair.graph missing.npy zeros -o old.npz
t run pair.graph random:x zeros -o old.npz
t run pair.graph random: zeros -o old.npz
t run pair.graph a.graph zeros -o old.npz
t run pair.graph both.npz -o old.npz
t run pair.graph both.npz:a zeros -o old.npz
t run pair.graph a=both.npz zeros -o old.npz
t run classifier.graph a.npy -o old.npz
t run picture.graph zeros -o old.txt
t run pair.graph zeros zeros -o old.npy
t run picture.graph a.npy -o old.npy
printf 'aneforge-graph 1\nx = input f16[6]\nreturn x\n' > six.graph
cp "$TOP"/tests/data/arrays_v2.npy int16.npy
t run six.graph int16.npy
head -c 100 a.npy > cut.npy
t run a.graph cut.npy -o old.npy
: > empty.npy
t run a.graph empty.npy -o old.npy
t run a.graph . -o old.npy
t run a.graph zeros -o nowhere/y.npy
t run a.graph zeros -o nowhere/y.npz
t run a.graph zeros --trace nowhere/t.json
t run pair.anf
cat old.npz old.npy
ls
if [ -w /dev/full ]; then "$ANEFORGE" ops > /dev/full; echo "exit $?"; else
    echo 'aneforge: ops: standard output: No space left on device'; echo 'exit 4'; fi
# One line, whatever the names.
t run a.graph "$(printf 'new\nline\033[31m.npy')" | tail -n 2
t run "$(printf 'new\nline.graph')" | tail -n 2
t "$(printf 'ru\nn')" | tail -n 2
