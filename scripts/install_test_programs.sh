#!/bin/sh
# Brings the programs that some tests run beside Python's packages: Prometheus with promtool, and a
# Chromium with fonts. Where it can't, it says what to install and goes on: such tests then skip.
set -u

missing=""
{ command -v prometheus && command -v promtool; } >/dev/null 2>&1 || missing="prometheus"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium fonts-dejavu-core"
missing=${missing# }
[ -n "$missing" ] || exit 0

skip() {
    echo "Some tests will skip, for want of Debian's packages: $missing ($1)" >&2
    exit 0
}

command -v apt-get >/dev/null 2>&1 || skip "there is no apt-get"
[ "$(id -u)" -eq 0 ] || skip "as root: apt-get install --no-install-recommends $missing"

export DEBIAN_FRONTEND=noninteractive
# A service that begins at its installation would take a port of this machine's. Debian asks this
# program before it starts any; one that is there is somebody's own.
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod +x "$policy"
fi
# shellcheck disable=SC2086  # words, each a package
{ apt-get update -q && apt-get install -q --yes --no-install-recommends $missing; } >&2 ||
    skip "apt-get failed"
