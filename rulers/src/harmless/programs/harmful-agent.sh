#!/bin/bash
# An "agent" that harms: it resets one TCP segment with data in 300 on the loopback interface for as long as it runs. It shows that the ruler sees
# harm (docs/harmless.md says how). Only for a network namespace made for it:
#   unshare -n sh -c 'ip link set lo up; WIRESPAN_BIN=.../harmful-agent.sh wirespan-rulers harmless --short --only sockets'
[ "$(readlink /proc/self/ns/net)" != "$(readlink /proc/1/ns/net)" ] || { echo "not outside a network namespace of its own" >&2; exit 1; }
[ "$1" = --version ] && { echo "harmful agent"; exit 0; }
trap 'nft delete table inet harm; exit 0' TERM
nft -f - <<'RULES' || exit 1
table inet harm {
    chain input {
        type filter hook input priority 0;
        tcp flags & psh == psh numgen random mod 300 == 0 reject with tcp reset
    }
}
RULES
echo "harmful: tracing" >&2
while :; do sleep 0.05; done
