# Where texts are written: beside a regular file, through a link, into what is no file.
cp "$DATA"/pair.graph .
cat > net.graph <<'E'
aneforge-graph 1
x = input f16[1,8]
w = const f16[4,8] fill(0.5)
y = linear(x, w)
return y
E
mode() { ls -ld "$1" | cut -c 1-10; }
t compile --compress int8 --report r.txt net.graph -o net.anf -q
cat r.txt
# The mode of a file is kept, and that a name is a link.
echo old > secret
chmod 600 secret
ln -s secret link
t compile --compress int8 --report link net.graph -o net.anf -q
cmp r.txt secret && echo same
mode secret
mode link
t run pair.graph zeros zeros --trace link -q
head -c 1 secret
echo
mode link
ln -s nowhere dangling
t compile --compress int8 --report dangling net.graph -o net.anf -q
mode dangling
# Devices and pipes are written to.
mkfifo pipe
cat pipe > got &
t compile --compress int8 --report pipe net.graph -o net.anf -q
wait $!
cmp r.txt got && mode pipe
[ -p pipe ] || exit 1 # what renames over a pipe would do so to the devices below
t compile --compress int8 --report /dev/null net.graph -o net.anf -q
mode /dev/null
t compile --compress int8 --report /dev/stdout net.graph -o net.anf | no_times
"$ANEFORGE" compile --compress int8 --report /dev/stdout net.graph -o net.anf > both
no_times < both
"$ANEFORGE" compile --compress int8 --report /dev/stderr net.graph -o net.anf -q 2> both
cmp r.txt both && echo same
t compile --compress int8 --report . net.graph -o net.anf -q
if [ -w /dev/full ]; then t compile --report /dev/full --compress int8 net.graph -o net.anf; else
    printf '%s\n' '$ aneforge compile --report /dev/full --compress int8 net.graph -o net.anf' \
        'aneforge: compile: /dev/full: cannot write: No space left on device' 'exit 4'; fi
# What cannot be written stops the command before it replaces anything.
echo precious > old
t compile --compress int8 --report nowhere/r net.graph -o old
t compile --compress int8 --report dangling net.graph -o old
t compile --compress int8 --report '' net.graph -o old
echo precious > old.npz
t run pair.graph zeros zeros -o old.npz --trace nowhere/t.json
t compile --compress int8 --report r.txt net.graph -o nowhere/net.anf
cat old old.npz
# A signal while a file is written leaves no part of it.
printf 'aneforge-graph 1\nx = input f16[1,2048]\nw = const f16[2048,8192] random(seed=1, std=1)\ny = matmul(x, w)\nreturn y\n' > big.graph
"$ANEFORGE" compile big.graph -o big.anf -q &
while kill -0 $! 2> /dev/null; do
    for part in big.anf.tmp-*; do
        [ -e "$part" ] && kill -TERM $! 2> /dev/null
    done
done
wait $! 2> /dev/null
[ -e big.anf ] && "$ANEFORGE" info big.anf | head -n 1
rm -f big.anf
ls
