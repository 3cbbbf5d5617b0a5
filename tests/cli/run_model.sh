cp "$DATA"/*.graph .
t run classifier.graph zeros
t run classifier.graph random
t run classifier.graph random:1 --top 3
t run classifier.graph random:1 --text --top 20
t run classifier.graph random:1 --quiet
t run classifier.graph random:1 --isa ref --threads 1
t run classifier.graph random:1 --opt none
t --quiet run --top 1 classifier.graph x=random:1
t run - random:1 < classifier.graph
t run pair.graph random:1 random:2
t run pair.graph random:2 a=random:1
t run pair.graph b=random:2 a=random:1
t run pair.graph random zeros --top 2
t run pair.graph random:1 random:2 -o both.npz
t run pair.graph both.npz:sum both.npz:product --text
printf 'aneforge-graph 1\nx = input f16[5]\ny = sqrt(x)\nz = log(x)\nreturn y as "root", z\n' > nan.graph
t run nan.graph random:3 --top 3
printf 'aneforge-graph 1\nx = input f16[]\ny = exp(x)\nreturn y\n' > scalar.graph
t run scalar.graph zeros --top 1 --text
