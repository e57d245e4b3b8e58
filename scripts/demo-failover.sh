#!/usr/bin/env bash
# Loads every package stanza of apt's catalogue (about 60,000) into a six-node cluster, ends
# one primary in the middle, first with kill -9 and then with SIGSTOP, and prints: the time
# until the lost slots accept a write again, how many acknowledged writes are missing, and
# that the old primary came back as a replica with equal data. Then the catalogue once more through redis-cli -c.
#
#   scripts/demo-failover.sh [rounds]     default 1; the median is printed
set -euo pipefail
cd "$(dirname "$0")/.."
SEXTANT_STANZAS=0 SEXTANT_CLI_STANZAS=0 SEXTANT_ROUNDS=${1:-1} exec go test ./integration/cluster \
  -run 'TestFailoverUnderLoad|TestBothWaysOfCreating' -count=1 -timeout 60m -v
