# Completion of aneforge for bash.

_aneforge()
{
    local cur prev verb= i
    COMPREPLY=()
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD - 1]}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        run | compile | explain | ops | info | bench)
            verb=${COMP_WORDS[i]}
            break
            ;;
        esac
    done

    case $prev in
    --isa)
        COMPREPLY=($(compgen -W "ref avx2 avx512 avx512fp16 neon $([ "$verb" = bench ] && echo all)" -- "$cur"))
        return
        ;;
    --opt)
        COMPREPLY=($(compgen -W "default none" -- "$cur"))
        return
        ;;
    --compress)
        COMPREPLY=($(compgen -W "none int8 int4 sparse blockwise auto" -- "$cur"))
        return
        ;;
    --threads | --compress-atol | --block-size | --target | --top | -t | --repeat | -n | --seconds)
        return
        ;;
    --output | -o | --trace | --report)
        compopt -o filenames 2> /dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return
        ;;
    esac

    local global="--isa --threads --quiet --progress --help --version"
    if [[ $cur == -* ]]; then
        case $verb in
        run) global+=" --output --top --text --resize --repeat --profile --trace --opt" ;;
        compile)
            global+=" --output --opt --compress --compress-atol --block-size --target"
            global+=" --report"
            ;;
        explain) global+=" --stages --buffers --opt" ;;
        ops) global+=" --names" ;;
        bench) global+=" --seconds --profile --roofline --json --opt" ;;
        esac
        COMPREPLY=($(compgen -W "$global" -- "$cur"))
        return
    fi

    case $verb in
    "") COMPREPLY=($(compgen -W "run compile explain ops info bench" -- "$cur")) ;;
    ops) COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" ops --names 2> /dev/null)" -- "$cur")) ;;
    *)
        compopt -o filenames 2> /dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        [ "$verb" = run ] && COMPREPLY+=($(compgen -W "zeros random" -- "$cur"))
        ;;
    esac
}

complete -F _aneforge aneforge
