#!/bin/sh -eu
# Stands for a compiler: makes a program, and something that is only needed for that.
cd "$(dirname "$0")"
OUT=/srv/app
mkdir -p "$OUT/objects"
echo object > "$OUT/objects/program.o"
printf '#!/bin/sh\necho "program $*"\n' > "$OUT/program"
chmod +x "$OUT/program"
echo built
