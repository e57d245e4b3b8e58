#!/bin/sh
# Runs the cluster simulator over new seeds until the time is up.
#
#   scripts/soak.sh [duration] [first seed]     e.g. scripts/soak.sh 2h
#
# Plans that break an invariant are shrunk and left as files in $SOAK_DIR (default: a new
# directory under /tmp). Copy them to cluster/sim/testdata to keep them for ever.
set -eu
cd "$(dirname "$0")/.."
duration=${1:-10m}
seed=${2:-$(date +%s)000000}
dir=${SOAK_DIR:-$(mktemp -d /tmp/sextant-soak.XXXXXX)}
echo "seeds from $seed for $duration; failing plans go to $dir"
exec nice go test ./cluster/sim -count=1 -v -timeout 0 -run '^TestSoak$' \
	-sim.duration="$duration" -sim.seed="$seed" -sim.keep="$dir"
