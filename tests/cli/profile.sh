no_rates() {
    sed -E -e 's/[0-9.]+ (%|GFLOP\/s|GB\/s|KiB)/N \1/g' -e 's/  (flops|memory) +/ BOUND /' \
        -e 's/ +N %/ SHARE/g' -e '/^largest gaps/,${/(conv|gemm|reduce)/d}'
}
no_numbers() {
    sed -E -e 's/("[a-z_0-9]+":)[0-9.e+-]+/\1N/g' -e 's/"(memory|flops)",/BOUND,/' \
        -e '/"gap_ns":N,"times"/d'
}
cp "$DATA"/classifier.graph .
t run classifier.graph random --isa ref --quiet --profile --threads 1 | no_times |
    sed '3,$s/RATE  .*/RATE/'
t run classifier.graph random --quiet --repeat 5 | no_times
t run classifier.graph random --quiet --trace t.json
sed -E 's/"(ts|dur)":[0-9.]+/"\1":N/g; s/"text":.*//' t.json
t bench classifier.graph --isa ref --threads 1,2 --seconds 0.02 | no_times
t bench classifier.graph --isa ref --threads 1 --seconds 0.02 --profile | no_times |
    sed '3,$s/RATE  .*/RATE/'
t bench classifier.graph --isa ref --threads 1 --seconds 0.02 --roofline | no_times | no_rates
q compile classifier.graph -o net.anf -q
t bench net.anf --isa ref --threads 1,2 --seconds 0.01 --roofline --json | no_numbers
t bench net.anf --isa ref --threads 1 --seconds 0.01 --profile -j | no_numbers
ANEFORGE_ISA=ref ANEFORGE_THREADS=1 t bench net.anf --seconds 0.02 | no_times
t bench net.anf --isa all --seconds 0.001 > all
grep -c '^ref ' all
tail -n 1 all
t bench net.anf --opt none
t bench missing.anf
t bench net.anf --isa ref,
t bench net.anf --isa ref,sse9 | sed 's/available: .*/available: .../'
t bench net.anf --threads 1,x
t bench - --isa ref --threads 1,2 < classifier.graph
