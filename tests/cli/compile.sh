cp "$DATA"/*.graph .
t compile classifier.graph -o net.anf | no_times
t compile classifier.graph -o net.anf -q
t compile --opt none classifier.graph -o plain.anf | no_times
t compile - -o piped.anf -q < pair.graph
ls
# The saved model gives the bits of the graph.
q run classifier.graph random:1 -o a.npy
q run net.anf random:1 -o b.npy
q run plain.anf random:1 -o c.npy
cmp a.npy b.npy && cmp a.npy c.npy && echo same
# Weights beside the graph text, wherever the command runs.
mkdir -p g/weights && cp file.graph g
printf 'aneforge-graph 1\nx = input f16[2,3]\nreturn x\n' > copy.graph
q run copy.graph random:5 -o g/weights/w.npy
t run g/file.graph zeros --text
q compile g/file.graph -o w.anf -q
rm -r g
t run w.anf zeros --text
