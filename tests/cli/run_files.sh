cp "$DATA"/*.graph .
printf 'aneforge-graph 1\na = input f16[2,3]\nreturn a\n' > a.graph
printf 'aneforge-graph 1\na = input f16[2,3]\nb = input f16[2,3]\nreturn a as "a", b as "b"\n' > ab.graph
q run a.graph random:1 -o a.npy
q run ab.graph random:1 random:2 -o ab.npz
t run a.graph a.npy --text
t run a.graph a=a.npy --text
t run a.graph ab.npz:b --text
t run a.graph a=ab.npz --text
t run pair.graph ab.npz --text
t run pair.graph ab.npz:b a=zeros --text
t run pair.graph ab.npz b=zeros
cp a.npy b:c.npy
t run a.graph b:c.npy --text
t run a.graph a=b:c.npy --quiet
t run a.graph b:d.npy
printf 'aneforge-graph 1\nx = input f16[2,3,4]\nreturn x\n' > f32.graph
cp "$TOP"/tests/data/arrays_f32_2x3x4.npy f32.npy
t run f32.graph f32.npy --text
printf 'aneforge-graph 1\nx = input f16[64,65]\nreturn x\n' > f16.graph
cp "$TOP"/tests/data/arrays_deflated.npz .
t run f16.graph arrays_deflated.npz:zeros
# Names of entries and of files may have colons.
json='{"dense/kernel:0":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'
printf "\\$(printf %o ${#json})\0\0\0\0\0\0\0%s\0<" "$json" > w.safetensors
printf 'aneforge-graph 1\nx = input f16[1]\nreturn x\n' > one.graph
t run one.graph w.safetensors:dense/kernel:0 --text
t run one.graph x=w.safetensors:dense/kernel:0 --text
t run one.graph w.safetensors:dense/kernel:1
cp w.safetensors v:1.safetensors
t run one.graph v:1.safetensors:dense/kernel:0 --text
t run one.graph absent.safetensors:dense/kernel:0
