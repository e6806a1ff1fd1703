#!/bin/sh
# bench_views.sh PROGRAM CORPORA DIR: what each view costs, on mail of CORPORA
# unpacked into DIR
set -e
[ -r "$2/lore.tar.xz" ] || { echo "no corpora in $2"; exit 77; }
for name in lore spamassassin foff; do
	[ -d "$3/$name" ] && continue
	mkdir "$3/$name"
	tar -xJf "$2/$name.tar.xz" -C "$3/$name"
done
find "$3/lore" "$3/spamassassin" "$3/foff" -type f ! -name ORDER | sort |
	awk 'NR % 4 == 0' | "$1"
