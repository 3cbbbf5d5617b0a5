# Every operator is named once, whatever there are.
"$ANEFORGE" ops --names | sort > names
"$ANEFORGE" ops | sed -n 's/^  \([a-z0-9_]*\) .*/\1/p' | sort > listed
cmp names listed && echo same
"$ANEFORGE" ops $(cat names) > described
grep -c '^[a-z0-9_]* (' described | grep -qx "$(wc -l < names | tr -d ' ')" && echo all described
t ops conv
t ops concat mha
t ops input
t ops --names conv softmax
t ops -n conv sofmax
t ops sofmax
t ops conv nothing_like_it_at_all
