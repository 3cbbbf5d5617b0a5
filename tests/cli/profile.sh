cp "$DATA"/classifier.graph .
t run classifier.graph random --isa ref --quiet --profile --threads 1 | no_times |
    sed '3,$s/RATE  .*/RATE/'
t run classifier.graph random --quiet --repeat 5 | no_times
t run classifier.graph random --quiet --trace t.json
sed -E 's/"(ts|dur)":[0-9.]+/"\1":N/g; s/"text":.*//' t.json
t bench classifier.graph --isa ref --threads 1,2 --seconds 0.02 | no_times
t bench classifier.graph --isa ref --threads 1 --seconds 0.02 --profile | no_times |
    sed '3,$s/RATE  .*/RATE/'
q compile classifier.graph -o net.anf -q
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
