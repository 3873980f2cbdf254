//! nginx's own tests in Perl (the repository nginx-tests), against Debian's binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::some_passed;
use crate::harmless::check::{Outcome, Run, Selection, World, write};
use crate::harmless::{packages, process};

/// Where the suite is, for a machine that cannot clone it.
const VARIABLE: &str = "NGINX_TESTS";
const REPOSITORY: &str = "https://github.com/nginx/nginx-tests";
/// Beginnings of the names of files that are run: transfers, connections, time-outs, proxies, TLS.
const FILES: &[&str] = &[
    "access_log.t",
    "body",
    "empty_gif",
    "gunzip",
    "gzip",
    "http_expect",
    "http_header_buffers",
    "http_host",
    "http_keepalive",
    "http_listen",
    "http_method",
    "http_try",
    "limit_conn",
    "limit_rate",
    "not_modified",
    "proxy.t",
    "proxy_bind",
    "proxy_cache.t",
    "proxy_chunked",
    "proxy_duplicate",
    "proxy_keepalive",
    "proxy_limit",
    "proxy_next",
    "proxy_noclose",
    "proxy_non",
    "proxy_request",
    "proxy_ssl",
    "proxy_unfinished",
    "proxy_upgrade",
    "range",
    "ssl.t",
    "ssl_s",
    "ssi_w",
    "sub_filter",
    "trailers",
    "upstream_keepalive",
];
/// How long one file may take.
const LIMIT: Duration = Duration::from_secs(30);
/// nginx without the modules that Debian packs apart: the suite believes `nginx -V` and would load what is not there.
const WRAPPER: &str = "#!/bin/sh
case \"$1\" in
-V) nginx -V 2>&1 | sed 's/--[a-z0-9_-]*=dynamic//g' >&2 ;;
*) exec nginx \"$@\" ;;
esac
";

/// Every file, or those whose tests differed.
pub fn run(world: &World, selection: &Selection) -> Result<Run> {
    packages::needed("perl", "perl")?;
    let suite = suite(world)?;
    let folder = world.folder("nginx-tests")?;
    let nginx = folder.join("nginx");
    write(&nginx, WRAPPER)?;
    fs::set_permissions(&nginx, fs::Permissions::from_mode(0o755))?;
    let mut outcome = Outcome::new();
    for file in files(&suite)? {
        let prefix = format!("{file}: ");
        if !selection.0.is_empty() && !selection.0.iter().any(|test| test.starts_with(&prefix)) {
            continue;
        }
        let mut command = Command::new("perl");
        command.arg(&file).current_dir(&suite).env("TEST_NGINX_BINARY", &nginx).env("TEST_NGINX_GLOBALS", "user root;");
        let ended = process::run(&mut command, &folder.join("file.log"), LIMIT)?;
        note_file(&prefix, &ended, &mut outcome);
    }
    some_passed(&outcome, selection, "")?;
    Ok(Run {
        outcome,
        left_out: vec![
            "files about variables, caches, mail, streams and name servers: minutes, and little about sockets"
                .to_owned(),
        ],
        sound: None,
    })
}

fn files(suite: &Path) -> Result<Vec<String>> {
    let names = fs::read_dir(suite).with_context(|| format!("cannot read {}", suite.display()))?;
    let names = names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let wanted = |name: &String| name.ends_with(".t") && FILES.iter().any(|start| name.starts_with(start));
    let mut files: Vec<String> = names.filter(wanted).collect();
    files.sort();
    Ok(files)
}

/// Each line of TAP (testanything.org), and how the file ended.
fn note_file(prefix: &str, ended: &process::Ended, outcome: &mut Outcome) {
    for line in ended.text.lines() {
        let (said, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
            (Some(rest), _) => ("passed", rest),
            (_, Some(rest)) => ("failed", rest),
            _ if line.starts_with("1..0") => ("skipped", "whole file"),
            _ => continue,
        };
        let said = if rest.contains("# skip") {
            "skipped"
        } else if rest.contains("# TODO") {
            "expected failure"
        } else {
            said
        };
        let name = rest.split(" # ").next().unwrap_or(rest);
        outcome.insert(format!("{prefix}{name}"), said.to_owned());
    }
    let end = if ended.status.is_some_and(|status| status.success()) { "passed" } else { "failed" };
    outcome.insert(format!("{prefix}end"), end.to_owned());
}

fn suite(world: &World) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        let path = PathBuf::from(path);
        ensure!(path.join("lib/Test/Nginx.pm").exists(), "{VARIABLE}={} is no clone of {REPOSITORY}", path.display());
        return Ok(path);
    }
    let clone = |folder: &Path| {
        let mut git = Command::new("git");
        git.args(["clone", "-q", "--depth=1", REPOSITORY]).current_dir(folder);
        packages::fetch(&mut git, folder).map(drop)
    };
    let folder = packages::cached(world, "nginx-tests", clone);
    let folder = folder.with_context(|| format!("nginx-tests cannot be had; name a clone in {VARIABLE}"))?;
    Ok(folder.join("nginx-tests"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_tap_is_a_result() {
        let text = "1..4\nok 1 - a\nnot ok 2 - b\nok 3 - c # skip no d\nnot ok 4 - e # TODO f\n# Failed\n".to_owned();
        let mut outcome = Outcome::new();
        note_file("x.t: ", &process::Ended { status: None, text }, &mut outcome);
        let said: Vec<&str> = outcome.values().map(String::as_str).collect();
        assert_eq!(said, ["passed", "failed", "skipped", "expected failure", "failed"]);
    }
}
