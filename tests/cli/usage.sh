t
t --version
t info --version
t comple
t nothing-like-it
t run
t info extra more
t --frob
t run --frobnicate
t run --pro
t run --quiet=1
t run -x
t run -o
t run --top
t run --tok 3
t run --top 0 m
t run --repeat many m
t run --opt best m
t bench --seconds 0 m
t bench --seconds never m
t explain a b
t compile net.graph
