//! Every check there is.

use super::check::{Check, Kind};
use super::{chaos, probed, sockets, suites, transfers};

/// In the order in which they run.
static CHECKS: &[Check] = &[
    Check {
        name: "sockets",
        what: "socket semantics: transcripts of programs of ours, one case each",
        short: true,
        kind: Kind::Paired(sockets::run),
    },
    Check {
        name: "transfers",
        what: "files through nginx, Python and curl: sendfile, splice, chunked, TLS, keep-alive, uploads; SHA-256",
        short: true,
        kind: Kind::Paired(transfers::run),
    },
    Check {
        name: "chaos",
        what: "nginx and a Python server under load; the agent killed, stopped, continued and restarted",
        short: true,
        kind: Kind::Chaos(chaos::run),
    },
    Check {
        name: "probed",
        what: "probed programs of Go and Python under load: agents come, go and are killed; fork, exec, dlclose, an upgrade on disk, another root",
        short: true,
        kind: Kind::Chaos(probed::run),
    },
    Check {
        name: "postgres",
        what: "PostgreSQL: pg_isready, pgbench in three protocols, the books afterwards, large results",
        short: false,
        kind: Kind::Paired(suites::postgres::run),
    },
    Check {
        name: "redis",
        what: "Redis's own tests of its protocol, connections, publishing, replication, tools",
        short: false,
        kind: Kind::Paired(suites::redis::run),
    },
    Check {
        name: "cpython",
        what: "CPython's own tests of selectors, sockets, HTTP and TLS; in the short form the first two",
        short: true,
        kind: Kind::Paired(suites::cpython::run),
    },
    Check {
        name: "go-http",
        what: "Go's own tests of net/http: its server, transport, client; in the short form without those that take long",
        short: true,
        kind: Kind::Paired(suites::go::run),
    },
    Check {
        name: "nginx-tests",
        what: "nginx's own tests of transfers, proxies, time-outs, TLS",
        short: false,
        kind: Kind::Paired(suites::nginx::run),
    },
    Check {
        name: "urllib3",
        what: "urllib3's own tests against servers, plain and TLS",
        short: false,
        kind: Kind::Paired(suites::urllib3::run),
    },
    Check {
        name: "asyncio",
        what: "CPython's own tests of asyncio",
        short: false,
        kind: Kind::Paired(suites::cpython::run_asyncio),
    },
];

/// The checks of a form, or those among all whose names contain one of `only`.
pub fn chosen(short: bool, only: &[String]) -> Vec<&'static Check> {
    let named = |check: &Check| only.iter().any(|name| check.name.contains(name.as_str()));
    CHECKS.iter().filter(|check| if only.is_empty() { !short || check.short } else { named(check) }).collect()
}
