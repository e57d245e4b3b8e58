#!/usr/bin/env bash
# Installs what the tests need from apt (redis-server and redis-tools, as peers and clients; systemd, to check the unit file)
# and runs all of them: formatting, vet, the race detector where concurrency is touched, the
# rest without it. Needs Go and, on a fresh machine, root for apt.
#
#   scripts/test.sh           everything
#   scripts/test.sh --quick   without the race run and the cluster tests
set -euo pipefail
cd "$(dirname "$0")/.."

quick=no
[ "${1:-}" = --quick ] && quick=yes

need() { command -v "$1" >/dev/null 2>&1; }
install() {
  sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  echo "== installing $*"
  export DEBIAN_FRONTEND=noninteractive
  # The packages would start servers of their own; the tests start theirs.
  $sudo mkdir -p /etc/redis
  $sudo apt-get update -qq
  printf '#!/bin/sh\nexit 101\n' | $sudo tee /usr/sbin/policy-rc.d >/dev/null
  $sudo chmod +x /usr/sbin/policy-rc.d
  result=0
  $sudo apt-get install -y -qq "$@" >/dev/null || result=$?
  $sudo rm -f /usr/sbin/policy-rc.d
  return $result
}
if ! need redis-server || ! need redis-cli || ! need redis-benchmark || ! need redis-check-rdb; then
  install redis-server redis-tools
fi
if ! need systemd-analyze; then
  install --no-install-recommends systemd || echo "systemd cannot be installed here: its unit file is not checked"
fi

echo "== gofmt, vet"
unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
  printf 'not gofmt-ed:\n%s\n' "$unformatted" >&2
  exit 1
fi
go vet ./...

if [ $quick = yes ]; then
  exec go test $(go list ./... | grep -v /integration/cluster)
fi

# Packages whose tests are about goroutines run under the race detector; the pure ones, the
# simulator, which is one goroutine by design, and the tests of whole processes run without it.
plain='/(slot|value|glob|core|topology|manage|sim|rdb|integration/[a-z]+)$'
echo "== tests with the race detector"
go test -race -timeout 15m $(go list ./... | grep -Ev "$plain")
echo "== tests without it"
go test -timeout 15m $(go list ./... | grep -E "$plain")
