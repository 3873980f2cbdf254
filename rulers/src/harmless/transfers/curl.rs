//! Who takes and who gives: curl.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::sum;

/// Ways of an upload, and what curl needs to be told for each.
pub const UPLOADS: &[(&str, &[&str])] = &[
    ("upload", &["-H", "Expect:"]),
    ("upload after 100-continue", &["-H", "Expect: 100-continue"]),
    (CHUNKS, &["-H", "Transfer-Encoding: chunked"]),
    ("upload through the nginx proxy", &[]),
];

/// The way of an upload without a length.
pub const CHUNKS: &str = "upload in chunks";

fn curl() -> Command {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--insecure", "--noproxy", "*", "--max-time", "120"]).stdin(Stdio::null());
    command
}

/// Fetches `url`; the status, the number of bytes, and whether they are those of `expected`.
pub fn download(url: &str, expected: &str) -> Result<String> {
    let mut command = curl();
    command
        .args(["-w", "%{stderr}%{http_code} %{size_download} bytes", url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut fetching = command.spawn().context("cannot start curl")?;
    let body = fetching.stdout.take().context("curl has no standard output")?;
    let summing = Command::new("sha256sum").stdin(body).output().context("cannot run sha256sum")?;
    let fetched = fetching.wait_with_output().context("curl is lost")?;
    let said = String::from_utf8_lossy(&fetched.stderr).replace(url, "URL");
    let sum = String::from_utf8_lossy(&summing.stdout);
    Ok(format!("{said}, {}, {}", fetched.status, verdict(sum.split_whitespace().next().unwrap_or_default(), expected)))
}

/// Sends `file` to a server that answers with the SHA-256 of what came.
pub fn upload(url: &str, arguments: &[&str], file: &Path, expected: &str) -> Result<String> {
    let mut command = curl();
    command.args(arguments).args(["-w", " %{http_code}", "-T"]).arg(file).arg(url);
    let output = command.output().context("cannot run curl")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let (sum, status) = said.rsplit_once(' ').unwrap_or_default();
    let error = String::from_utf8_lossy(&output.stderr);
    Ok(format!("{status}, {}, {}{}", output.status, verdict(sum, expected), error.trim()))
}

/// Fetches several files, twice each, over one connection; how many connections each took, and whether all are equal.
pub fn kept_alive(folder: &Path, base: &str, files: &[&(String, String)]) -> Result<String> {
    let into = folder.join("fetched");
    fs::create_dir_all(&into)?;
    let mut command = curl();
    command.args(["-w", "%{num_connects} "]);
    let places: Vec<_> = [1, 2].iter().flat_map(|round| files.iter().map(move |file| (round, file))).collect();
    for (round, (name, _)) in &places {
        command.arg("-o").arg(into.join(format!("{name}.{round}"))).arg(format!("{base}/{name}"));
    }
    let errors = folder.join("curl.log");
    let output = command.stderr(File::create(&errors)?).output().context("cannot run curl")?;
    let mut wrong = 0;
    for (round, (name, expected)) in &places {
        let path = into.join(format!("{name}.{round}"));
        // curl makes no file of an empty body.
        let got = if path.exists() { sum(&path)? } else { EMPTY.to_owned() };
        wrong += usize::from(got != *expected);
    }
    fs::remove_dir_all(&into)?;
    let connections = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let verdict = if wrong == 0 { "all equal".to_owned() } else { format!("{wrong} DIFFER") };
    Ok(format!("connections {connections}; {}, {verdict}{}", output.status, fs::read_to_string(&errors)?.trim()))
}

/// SHA-256 of no bytes.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn verdict(got: &str, expected: &str) -> String {
    if got == expected { "equal".to_owned() } else { format!("DIFFERENT: {got}") }
}
