t --help
for verb in run compile explain ops info bench; do
    t $verb --help
done
t -q run -h | head -n 3
