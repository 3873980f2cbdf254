//! `curl`, one process per request.

use std::process::{Command, Stdio};

/// Written to standard error when a transfer is over: status, milliseconds until the request was out, and in all.
const METRICS: &str = "%{stderr}\n@ %{http_code} %{time_pretransfer} %{time_total}\n";

/// What became of a request.
#[derive(Debug)]
pub struct Reply {
    /// curl's own exit status: 0 when it got a response.
    pub exit: i32,
    /// Status code, 0 without a response.
    pub code: u16,
    /// The body (and, with `-i`, the head).
    pub body: Vec<u8>,
    /// From when curl was about to send until the last byte, milliseconds.
    pub transfer_millis: f64,
    /// curl's process id.
    pub pid: u32,
}

/// `curl <arguments>`, with a limit of 20 s and without proxies from the environment.
pub fn run(arguments: &[&str]) -> Reply {
    run_in(Command::new("curl"), arguments)
}

/// Like [`run`], with a command that leads to curl (`setpriv … curl`, or curl with an environment).
pub fn run_in(mut command: Command, arguments: &[&str]) -> Reply {
    let child = command
        .args(["-q", "-sS", "--noproxy", "*", "--max-time", "20", "-w", METRICS])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl is installed");
    let pid = child.id();
    let output = child.wait_with_output().expect("curl ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let metrics = said.lines().rev().find_map(|line| line.strip_prefix("@ ")).unwrap_or("0 0 0");
    let mut numbers = metrics.split(' ').map(|n| n.parse::<f64>().unwrap_or_default());
    let (code, before, total) =
        (numbers.next().unwrap_or(0.0), numbers.next().unwrap_or(0.0), numbers.next().unwrap_or(0.0));
    Reply {
        exit: output.status.code().unwrap_or(-1),
        code: code as u16,
        body: output.stdout,
        transfer_millis: (total - before) * 1e3,
        pid,
    }
}

/// `curl URL`, which must answer with `code`.
pub fn get(url: &str, code: u16) -> Reply {
    let reply = run(&[url]);
    assert_eq!((reply.exit, reply.code), (0, code), "{url}: {}", String::from_utf8_lossy(&reply.body));
    reply
}
