ANEFORGE_ISA=ref ANEFORGE_THREADS=1 t info | grep -E '^(kernels|threads|exit)'
ANEFORGE_ISA=sse9 t info | sed 's/available: .*/available: .../'
ANEFORGE_ISA=sse9 t info --isa ref | sed -n 2,3p
ANEFORGE_THREADS=lots t info
ANEFORGE_THREADS=lots t --threads 2 info | grep threads
ANEFORGE_THREADS= t info | grep exit
t info --threads 2000
t info --threads=-1
t --isa ref info --threads 3 | grep -E '^(kernels|threads|exit)'
