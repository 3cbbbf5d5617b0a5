# Every verb and option of --help stands in the man pages and in the three completions.
for verb in run compile explain ops info bench; do
    [ -f "$TOP/docs/man/aneforge-$verb.1.scd" ] || echo "$verb has no man page"
    grep -q "aneforge-$verb" "$TOP/docs/man/aneforge.1.scd" || echo "aneforge.1 does not name $verb"
    for file in aneforge.bash _aneforge aneforge.fish; do
        grep -qw -e "$verb" "$TOP/cli/completion/$file" || echo "$file does not know $verb"
    done
    "$ANEFORGE" $verb --help | sed -n '/^Options/,/^$/s/.*--\([a-z-]*\) .*/\1/p' > options
    while read -r option; do
        grep -q -e "--$option" "$TOP/docs/man/aneforge-$verb.1.scd" ||
            echo "aneforge-$verb.1 does not tell about --$option"
        for file in aneforge.bash _aneforge; do
            grep -q -e "--$option" "$TOP/cli/completion/$file" ||
                echo "$file does not know --$option of $verb"
        done
        grep -q -e "-l $option" "$TOP/cli/completion/aneforge.fish" ||
            echo "aneforge.fish does not know --$option of $verb"
    done < options
done
"$ANEFORGE" --help | sed -n '/^Global/,/^$/s/.*--\([a-z]*\) .*/\1/p' > options
while read -r option; do
    for file in docs/man/aneforge.1.scd cli/completion/aneforge.bash cli/completion/_aneforge; do
        grep -q -e "--$option" "$TOP/$file" || echo "$file does not know --$option"
    done
    grep -q -e "-l $option" "$TOP/cli/completion/aneforge.fish" || echo "fish does not know $option"
done < options
[ -s options ] && echo looked
if command -v bash > /dev/null; then bash -n "$TOP/cli/completion/aneforge.bash" || echo bad; fi
