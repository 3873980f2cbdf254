//! `wirespan doctor`: each capability, whether it is there, how, or why not and what to do.

mod containers;
mod pod;

use std::path::Path;

use serde::Serialize;

use crate::bpf::lines::{self, Wanted};
use crate::bpf::probe::{self, Seen};
use crate::bpf::{BTF_PATH, Mode, verify};
use crate::client::{Client, ClientError, Endpoint};
use crate::config::{Config, Rule};
use crate::discovery::facts::is_listened_on;
use crate::discovery::naming::Language;
use crate::discovery::{self, HostInfo};
use crate::inventory::{Links, Row};
use crate::sandbox;
use crate::units;
use crate::web::Bound;
use wirespan_delivery::text::words::harmless;

/// How a capability stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// There.
    Available,
    /// There, with a disadvantage.
    Degraded,
    /// There for a part of what it is for.
    Partial,
    /// Not there; tracing works without it.
    Unavailable,
    /// Not there, and tracing needs it.
    Missing,
}

/// One capability.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// How, or why not.
    pub detail: String,
    /// What to do, empty if nothing.
    pub remedy: String,
}

/// All that was found out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this agent.
    pub version: &'static str,
    /// Release of the running kernel.
    pub kernel: String,
    /// Machine architecture.
    pub architecture: &'static str,
    /// Capabilities.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether tracing works at all.
    pub fn works(&self) -> bool {
        self.checks.iter().all(|check| check.state != State::Missing)
    }

    /// For programs.
    pub fn json(&self) -> String {
        let mut value = serde_json::json!(self);
        value["works"] = self.works().into();
        format!("{value:#}\n")
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("wirespan {} on Linux {} ({})\n\n", self.version, self.kernel, self.architecture);
        for check in &self.checks {
            let mark = match check.state {
                State::Available => "ok     ",
                State::Degraded => "slower ",
                State::Partial => "partly ",
                State::Unavailable => "off    ",
                State::Missing => "MISSING",
            };
            text.push_str(&format!("  {mark}  {:<22} {}\n", check.name, check.detail));
            if !check.remedy.is_empty() {
                text.push_str(&format!("  {:33}-> {}\n", "", check.remedy));
            }
        }
        text.push_str(if self.works() { "\nwirespan can trace here.\n" } else { "\nwirespan cannot trace here.\n" });
        text
    }
}

/// Tries everything. Programs are attached for some milliseconds and detached again.
pub fn examine(config: &Config) -> Report {
    let mut checks = vec![object(), types()];
    checks.extend(privileges());
    checks.extend(hooks(config));
    checks.push(verifier());
    checks.push(processes());
    checks.extend(pod::checks(config));
    checks.extend(containers::checks(config));
    checks.extend(runtimes(config));
    checks.extend(rules(config));
    checks.push(tls(config));
    checks.push(off("io_uring", "its operations are counted (counter kernel_io_uring), their bytes are not seen"));
    checks.push(sandbox(config));
    checks.push(output(config));
    checks.push(view(config));
    checks.extend(links(config));
    Report {
        version: env!("CARGO_PKG_VERSION"),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        architecture: std::env::consts::ARCH,
        checks,
    }
}

fn check(name: &'static str, state: State, detail: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name, state, detail: detail.into(), remedy: remedy.into() }
}

fn off(name: &'static str, detail: &str) -> Check {
    check(name, State::Unavailable, detail, "")
}

/// Whether what passes inside TLS is read.
fn tls(config: &Config) -> Check {
    const NAME: &str = "plaintext under TLS";
    if !config.tls.any() {
        return check(
            NAME,
            State::Unavailable,
            "left alone (--tls off): of encrypted connections only who, when and how much",
            "",
        );
    }
    let known = "read where OpenSSL (shared, or exported by the program as Node does), GnuTLS, BoringSSL or rustls is used, and in Go \
                 programs (crypto/tls, since 1.21); of connections of other libraries is told who, when and how much (wirespan.tls=opaque; `wirespan ps` says why)";
    check(NAME, State::Partial, known, "`--tls off` leaves all TLS alone, `--tls 'exe:*/vault=off'` one program's")
}

fn object() -> Check {
    if probe::has_object() {
        check("kernel programs", State::Available, "built in", "")
    } else {
        check("kernel programs", State::Missing, "this binary was built without them", "run `cargo xtask build`")
    }
}

fn types() -> Check {
    match probe::has_btf() {
        Ok(()) => check("kernel types (BTF)", State::Available, BTF_PATH, ""),
        Err(error) => check(
            "kernel types (BTF)",
            State::Missing,
            format!("{BTF_PATH}: {error}"),
            "boot a kernel with CONFIG_DEBUG_INFO_BTF=y",
        ),
    }
}

fn privileges() -> Vec<Check> {
    let purposes = [
        "loads the kernel programs",
        "reads the bytes of other processes' socket operations",
        "reads the environment of other users' processes, for their names",
        "reads the command line and cgroup of other users' processes",
    ];
    let held = probe::capabilities();
    let grant = |name| pod::grant(name, pod::is_one(), rustix::process::geteuid().as_raw());
    held.iter()
        .zip(purposes)
        .enumerate()
        .map(|(i, ((name, held), purpose))| match (*held, i < 2) {
            (true, _) => check(name, State::Available, purpose, ""),
            (false, true) => check(name, State::Missing, purpose, grant(name)),
            (false, false) => check(name, State::Unavailable, purpose, grant(name)),
        })
        .collect()
}

fn hooks(config: &Config) -> Vec<Check> {
    let life = ["tp_btf/inet_sock_set_state", "tp_btf/sched_process_fork, _exec, _exit"];
    match probe::attempt(false, config.lines) {
        Ok(Seen { mode, sleeps, unix, lines, probes }) => {
            let socket = match mode {
                Mode::SocketTracepoints => check(
                    "socket operations",
                    State::Available,
                    "tp_btf/sock_send_length and sock_recv_length: loaded, attached and detached",
                    "",
                ),
                Mode::SystemCallExit => check(
                    "socket operations",
                    State::Degraded,
                    "raw_tp/sys_exit: costs about 75 ns on every system call of the machine",
                    "Linux 6.3 or later has the cheaper hooks",
                ),
            };
            let fallback = match (mode, probe::attempt(true, Wanted::Off)) {
                (Mode::SystemCallExit, _) => None,
                (_, Ok(_)) => Some(check("fallback hook", State::Available, "raw_tp/sys_exit (not needed here)", "")),
                (_, Err(error)) => Some(off("fallback hook", &error.to_string())),
            };
            [
                Some(socket),
                fallback,
                Some(waits(mode, sleeps)),
                Some(unix_sockets(unix)),
                Some(exceptions(config.lines, &lines)),
                Some(probes_in_programs(probes, config.sandbox)),
            ]
            .into_iter()
            .flatten()
            .chain([
                check("connection life", State::Available, life[0], ""),
                check("process life", State::Available, life[1], ""),
            ])
            .collect()
        }
        Err(error) => {
            let why = error.to_string();
            vec![check("socket operations", State::Missing, why, "see above; or report it with this output")]
        }
    }
}

/// What the kernel's verifier made of the programs, those that are not needed here, too.
fn verifier() -> Check {
    let name = "verifier";
    let verified = match probe::verify() {
        Ok(verified) => verified,
        Err(error) => {
            return check(name, State::Missing, error.to_string(), "see above; or report it with this output");
        }
    };
    let Some((largest, steps)) = verified.steps.first() else {
        return check(name, State::Partial, "this kernel does not say what its verifier took for a program", "");
    };
    let all: u64 = verified.steps.iter().map(|(_, steps)| steps).sum();
    let programs = verified.steps.len();
    let mut detail = format!(
        "{programs} programs in {all} steps, the most for {largest}: {steps} of {} that a kernel allows",
        verify::LIMIT
    );
    if !verified.refused.is_empty() {
        detail.push_str(&format!("; not taken here: {}", verified.refused.join(", ")));
    }
    if *steps > verify::MOST {
        return check(name, State::Degraded, detail, "this delays the start: please report it with this output");
    }
    check(name, State::Available, detail, "")
}

/// What workers whose sockets do not block are told from event loops by.
fn waits(mode: Mode, sleeps: bool) -> Check {
    let name = "what threads sleep on";
    match (mode, sleeps) {
        (_, true) => check(name, State::Available, "tp_btf/sched_switch, for threads that serve and call", ""),
        (Mode::SystemCallExit, false) => check(
            name,
            State::Unavailable,
            "needs the socket tracepoints: calls of non-blocking workers (Tomcat, Puma) are linked one at a time only",
            "Linux 6.3 or later has them",
        ),
        (Mode::SocketTracepoints, false) => check(
            name,
            State::Unavailable,
            "the kernel refused the program: calls of non-blocking workers (Tomcat, Puma) are linked one at a time only",
            "see the log (--log debug); please report it",
        ),
    }
}

/// What tells of a Unix socket at which nobody listens.
fn unix_sockets(seen: bool) -> Check {
    let name = "failed Unix connections";
    if seen {
        return check(name, State::Available, "fexit/unix_stream_connect", "");
    }
    off(name, "this kernel lets no program look at a function's return: they make no spans")
}

/// What sees exceptions that programs print.
fn exceptions(wanted: Wanted, seen: &lines::Seen) -> Check {
    let name = "exceptions in lines";
    if wanted == Wanted::Off {
        return check(name, State::Unavailable, "not read (--logs off)", "");
    }
    let mut places = vec!["sockets (journald)".to_owned()];
    places.extend(seen.files.iter().map(|name| format!("files on {name}")));
    if seen.pipes {
        places.push("pipes (containers; fentry)".to_owned());
    }
    if seen.terminals {
        places.push("terminals (fentry)".to_owned());
    }
    if seen.calls {
        let places = "sockets, files, pipes, terminals: raw_tp/sys_enter, which costs about 35 ns on every system call of the machine";
        return check(name, State::Degraded, places, "--logs auto reads what costs others next to nothing");
    }
    let read = format!("read where they are written to {}", places.join(", "));
    match (seen.pipes, seen.files.is_empty()) {
        (true, false) => check(name, State::Available, read, ""),
        _ if wanted == Wanted::All => check(name, State::Partial, read, ""),
        _ => {
            check(name, State::Partial, read, "`--logs exceptions` reads the rest too, at a cost to every system call")
        }
    }
}

/// What says who made a call that another part of a program writes.
fn probes_in_programs(probes: Result<bool, String>, sandbox: bool) -> Check {
    let name = "probes in programs";
    let without = "calls that one goroutine hands to another (net/http, HTTP/2, gRPC) are not linked";
    match (probes, sandbox) {
        _ if !cfg!(target_arch = "x86_64") => {
            off(name, "on x86-64 alone: elsewhere the calls of Go programs are linked as their threads show")
        }
        (Ok(true), _) => check(name, State::Available, "attached and detached, one link a process (uprobe_multi)", ""),
        (Ok(false), false) => check(name, State::Available, "attached and detached, one link a place", ""),
        (Ok(false), true) => check(
            name,
            State::Unavailable,
            format!("this kernel wants CAP_SYS_ADMIN for them, which the agent gives up: {without}"),
            "Linux 6.11 or later wants no more than the agent keeps; before, --sandbox off",
        ),
        (Err(error), _) => check(
            name,
            State::Unavailable,
            format!("{error}: {without}"),
            "a kernel with CONFIG_UPROBE_EVENTS=y; see the log (--log debug), and report it",
        ),
    }
}

/// The inode number of the initial pid namespace, `PROC_PID_INIT_INO` of include/linux/proc_ns.h.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

fn processes() -> Check {
    let name = "process names";
    match std::fs::read_link("/proc/self/ns/pid") {
        Ok(link) if link.as_os_str() == INITIAL_PID_NAMESPACE => {
            check(name, State::Available, "/proc of the host's pid namespace", "")
        }
        Ok(_) => check(
            name,
            State::Missing,
            "this process runs in a pid namespace of its own, so the kernel's process ids mean nothing here",
            "run it in the host's (docker --pid=host, hostPID: true)",
        ),
        Err(error) => check(name, State::Missing, format!("/proc/self/ns/pid: {error}"), "mount /proc"),
    }
}

/// Processes of runtimes that cannot be told what they work on: tasks of Python, loops of Node, virtual threads of Java.
fn runtimes(config: &Config) -> Vec<Check> {
    let mut processes = discovery::Processes::new(config, "/proc".into(), HostInfo::read("/".as_ref()));
    let present: Vec<u32> = processes.present();
    let off = present.into_iter().filter_map(|tgid| {
        let dir = Path::new("/proc").join(tgid.to_string());
        let (name, error) = match processes.get(tgid).program.language? {
            Language::Python => ("tasks of Python", units::python::unknown(tgid, &dir)?),
            Language::Nodejs => ("loops of Node", units::node::unknown(&dir)?),
            Language::Java => ("virtual threads of Java", units::java::unknown(tgid, &dir)?),
            _ => return None,
        };
        let detail = format!("process {tgid}: {error}; its calls are linked by threads alone");
        Some(check(name, State::Unavailable, detail, "see docs/runtimes.md for the versions that are known"))
    });
    off.take(MANY_RUNTIMES).collect()
}

/// So many of them are listed.
const MANY_RUNTIMES: usize = 8;

/// Each rule, and what of the programs that run now it is about.
fn rules(config: &Config) -> Vec<Check> {
    let rules = [("include rule", &config.include), ("exclude rule", &config.exclude)];
    if rules.iter().all(|(_, rules)| rules.is_empty()) {
        return Vec::new();
    }
    let mut processes = discovery::Processes::new(config, "/proc".into(), HostInfo::read("/".as_ref()));
    for tgid in processes.present() {
        processes.get(tgid);
    }
    let idle: Vec<Rule> = processes.selection().idle_rules().into_iter().map(|(_, rule)| rule).collect();
    let state = |name: &'static str, rule: &Rule| match rule {
        Rule::Port(port) if is_listened_on(*port) => {
            check(name, State::Available, format!("{rule}: somebody listens on that port"), "")
        }
        Rule::Port(_) => check(name, State::Unavailable, format!("{rule}: nobody listens on that port"), ABOUT_NOTHING),
        _ if rule.is_about_pods() => {
            check(name, State::Available, format!("{rule}: asked of every pod's processes"), "")
        }
        _ if idle.contains(rule) => {
            check(name, State::Unavailable, format!("{rule}: no process fits it"), ABOUT_NOTHING)
        }
        _ => check(name, State::Available, format!("{rule}: fits processes that run"), ""),
    };
    rules.into_iter().flat_map(|(name, rules)| rules.iter().map(move |rule| state(name, rule))).collect()
}

const ABOUT_NOTHING: &str = "correct it, unless what it is about starts later; `wirespan ps --all` lists processes";

fn sandbox(config: &Config) -> Check {
    let name = "sandbox";
    if !config.sandbox {
        return check(
            name,
            State::Unavailable,
            "the agent keeps all its privileges (--sandbox off)",
            "leave --sandbox away",
        );
    }
    let kept = sandbox::kept().join(", ");
    match sandbox::kernel_filters() {
        true => check(
            name,
            State::Available,
            format!("once it traces: of its privileges {kept}; a filter of system calls"),
            "",
        ),
        false => check(
            name,
            State::Unavailable,
            format!("once it traces: of its privileges {kept}; this kernel has no filter of system calls"),
            "boot a kernel with CONFIG_SECCOMP_FILTER=y",
        ),
    }
}

fn output(config: &Config) -> Check {
    let Some(otlp) = &config.otlp else {
        return check("output", State::Available, "console (no OTLP endpoint is set)", "");
    };
    let endpoint = &otlp.endpoint;
    let host = endpoint.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = endpoint.port_u16().unwrap_or(if endpoint.scheme_str() == Some("https") { 443 } else { 80 });
    let reached = std::net::ToSocketAddrs::to_socket_addrs(&(host, port)).and_then(|mut addresses| {
        let address = addresses.next().ok_or_else(|| std::io::Error::other("the name has no address"))?;
        std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(2))
    });
    match reached {
        Ok(_) => check("output", State::Available, format!("OTLP to {endpoint}"), ""),
        Err(error) => check(
            "output",
            State::Unavailable,
            format!("OTLP to {endpoint}: {error}"),
            "start the collector or correct the endpoint; until then spans wait in the queue",
        ),
    }
}

/// How well calls find their requests, if a wirespan runs here that can be asked: a line for each process.
fn links(config: &Config) -> Vec<Check> {
    let Some(view) = &config.view else { return Vec::new() };
    let endpoint = Endpoint {
        address: view.listen.map(|address| address.to_string()).unwrap_or_default(),
        socket: view.socket.clone(),
        token: view.token.as_ref().map(|token| token.secret().to_owned()),
    };
    match Client::new(endpoint).and_then(|client| client.get::<Processes>("/api/v1/processes", &[])) {
        Ok(found) => found.processes.iter().filter_map(linking).collect(),
        Err(ClientError::NoAgent { .. }) => {
            vec![check(
                "links",
                State::Available,
                "a running wirespan says here how well each process's calls are linked",
                "",
            )]
        }
        Err(error) => vec![check("links", State::Available, format!("not asked for: {error}"), "")],
    }
}

#[derive(serde::Deserialize)]
struct Processes {
    processes: Vec<Row>,
}

/// What became of a process's calls; `None` if none was judged.
fn linking(row: &Row) -> Option<Check> {
    let links = row.linking.as_ref().filter(|links| links.calls > 0)?;
    let runtime: Vec<&str> = [&row.language, &row.language_version].into_iter().flatten().map(String::as_str).collect();
    let off = links.off.iter().map(|rule| format!("; off: {rule}")).collect::<String>();
    let (pid, Links { linked, calls, .. }) = (row.pid, links);
    let runtime = if runtime.is_empty() { String::new() } else { format!(", {}", runtime.join(" ")) };
    let text = format!("{} ({pid}{runtime}): {linked} of {calls} calls are linked{off}", row.name);
    let state = if linked == calls { State::Available } else { State::Partial };
    Some(check("links", state, harmless(&text), ""))
}

fn view(config: &Config) -> Check {
    let name = "local view";
    let Some(view) = &config.view else {
        return off(name, "off (--listen off and --socket off)");
    };
    let kept = view.store.path.as_ref().map_or("in memory".to_owned(), |path| format!("in {}", path.display()));
    let (bound, problems) = Bound::new(view);
    let places = [bound.address().map(|a| format!("http://{a}/")), bound.socket().map(|s| s.display().to_string())];
    let places: Vec<String> = places.into_iter().flatten().collect();
    if problems.is_empty() {
        return check(name, State::Available, format!("{}, traces kept {kept}", places.join(" and ")), "");
    }
    let said: Vec<String> = problems.iter().map(ToString::to_string).chain(places).collect();
    check(name, State::Unavailable, said.join("; "), "tracing works without it; a running wirespan has it too")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(linking: Option<Links>) -> Row {
        Row {
            pid: 7,
            parent_pid: 1,
            name: "orders\u{1b}".to_owned(),
            named_by: "folder".to_owned(),
            executable: "/usr/bin/python3.11".to_owned(),
            language: Some("python".to_owned()),
            language_version: Some("3.11".to_owned()),
            traced: true,
            reason: "default".to_owned(),
            connections: Vec::new(),
            seen: true,
            linking,
        }
    }

    #[test]
    fn a_process_whose_calls_were_judged_has_a_line_that_names_what_is_off() {
        let links =
            |linked, off: &[&str]| Links { calls: 3, linked, off: off.iter().map(|o| (*o).to_owned()).collect() };
        let whole = linking(&row(Some(links(3, &[])))).unwrap();
        assert_eq!(
            (whole.state, &*whole.detail),
            (State::Available, "orders\\x1b (7, python 3.11): 3 of 3 calls are linked")
        );
        let part = linking(&row(Some(links(1, &["own_thread: it has several threads"])))).unwrap();
        assert_eq!(part.state, State::Partial);
        assert!(
            part.detail.ends_with("1 of 3 calls are linked; off: own_thread: it has several threads"),
            "{}",
            part.detail
        );
        assert!(linking(&row(None)).is_none() && linking(&row(Some(Links::default()))).is_none());
    }
}
