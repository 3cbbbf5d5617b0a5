cp "$DATA"/classifier.graph .
t explain --isa ref classifier.graph
t explain --isa ref classifier.graph --buffers
t explain --isa ref classifier.graph --opt none
t explain --isa ref classifier.graph --stages
q compile classifier.graph -o net.anf -q
q explain --isa ref -b classifier.graph > a
q explain --isa ref -b net.anf > b
cmp a b && echo same
t explain --isa ref - < classifier.graph | tail -n 4
