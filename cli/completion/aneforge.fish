# Completion of aneforge for fish.

set -l verbs run compile explain ops info bench
set -l no_verb "not __fish_seen_subcommand_from $verbs"

complete -c aneforge -f -n $no_verb -a run -d 'run a model or a graph text on some inputs'
complete -c aneforge -f -n $no_verb -a compile -d 'compile a graph text and save the model'
complete -c aneforge -f -n $no_verb -a explain -d 'show the program'
complete -c aneforge -f -n $no_verb -a ops -d 'list or describe the operators'
complete -c aneforge -f -n $no_verb -a info -d 'show version, kernels, formats and machine'
complete -c aneforge -f -n $no_verb -a bench -d 'measure how long a model takes'

complete -c aneforge -l isa -x -a 'ref avx2 avx512 avx512fp16 neon' -d 'kernels to use'
complete -c aneforge -l threads -x -d 'threads of a run'
complete -c aneforge -s q -l quiet -d 'print no summary and no progress'
complete -c aneforge -l progress -d 'show progress even if stderr is no terminal'
complete -c aneforge -s h -l help -d 'show help'
complete -c aneforge -s V -l version -d 'show the version'

set -l with_level '__fish_seen_subcommand_from run compile explain bench'
complete -c aneforge -n $with_level -l opt -x -a 'default none' -d 'optimisation level'

set -l in_run '__fish_seen_subcommand_from run'
complete -c aneforge -n $in_run -a 'zeros random' -d 'input without a file'
complete -c aneforge -n $in_run -s t -l top -x -d 'show the K largest values'
complete -c aneforge -n $in_run -l text -d 'show all values'
complete -c aneforge -n $in_run -l resize -d 'scale images to the size of their input'
complete -c aneforge -n $in_run -s n -l repeat -x -d 'run N times and show the time'
complete -c aneforge -n $in_run -l trace -r -d 'write a Chrome trace'

set -l with_output '__fish_seen_subcommand_from run compile'
complete -c aneforge -n $with_output -s o -l output -r -d 'the file to write'

set -l in_explain '__fish_seen_subcommand_from explain'
complete -c aneforge -n $in_explain -s s -l stages -d 'also the graph after every pass'
complete -c aneforge -n $in_explain -s b -l buffers -d 'also the buffers'

set -l in_ops '__fish_seen_subcommand_from ops'
complete -c aneforge -f -n $in_ops -s n -l names -d 'names only'
complete -c aneforge -f -n $in_ops -a '(aneforge ops --names 2> /dev/null)'

set -l in_compile '__fish_seen_subcommand_from compile'
complete -c aneforge -n $in_compile -l compress -x -a 'none int8 int4 sparse blockwise auto' \
    -d 'how weights are stored'
complete -c aneforge -n $in_compile -l compress-atol -x -d 'largest error of int4 and blockwise'
complete -c aneforge -n $in_compile -l block-size -x -d 'elements per scale of blockwise'
complete -c aneforge -n $in_compile -l target -x -d 'auto takes what this chip streams'
complete -c aneforge -n $in_compile -l report -r -d 'what became of each weight'

set -l with_profile '__fish_seen_subcommand_from run bench'
complete -c aneforge -n $with_profile -s p -l profile -d 'show the time of every instruction'

set -l in_bench '__fish_seen_subcommand_from bench'
complete -c aneforge -n $in_bench -s s -l seconds -x -d 'time to measure each configuration'
complete -c aneforge -n $in_bench -s r -l roofline -d 'also how far every instruction is from the peak'
complete -c aneforge -n $in_bench -s j -l json -d 'print JSON'
