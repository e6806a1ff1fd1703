#!/bin/sh
# meson test --wrapper for a build with -Dfuzz=true: gives libFuzzer a scratch
# directory in front of the seeds, and speaks TAP about how it ended.
# usage: fuzz_run.sh TARGET CORPUS...; FUZZ_SECONDS (10) is the time a target.
# A tree that passed shall pass again: the seed is one and the same. FUZZ_SEED=0
# draws another for each run, which is how faults are searched for.
set -u
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
name=$(basename "$1")
target=$1
shift
cd "$scratch" || exit 1
mkdir new
dict=
for d in "$@"; do
	[ -f "$d.dict" ] && dict=-dict=$d.dict
done
echo 1..1
if "$target" -seed="${FUZZ_SEED:-1}" -max_total_time="${FUZZ_SECONDS:-10}" -timeout=20 -rss_limit_mb=3000 \
    -max_len=65536 -print_final_stats=1 $dict new "$@" >log 2>&1; then
	echo "ok 1 - $name $(sed -n 's/^stat::number_of_executed_units: */runs: /p' log)"
else
	# of TAP meson shows only the verdict, of stderr all
	tail -40 log >&2
	for crash in crash-* timeout-* oom-*; do
		[ -f "$crash" ] && echo "$crash: $(base64 -w0 <"$crash" | cut -c1-2000)" >&2
	done
	echo "not ok 1 - $name"
	exit 1
fi
