//! Files through nginx, Python and curl, whole and by every way that bytes take through a socket: their SHA-256 must be the file's.

mod curl;
mod servers;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::check::{Outcome, Run, Selection, World};
use super::process;
use curl::CHUNKS;
use servers::Servers;

/// Sizes of the files in bytes: nothing, a byte, around the largest capture, many pages; and what only the full form has.
const SIZES: &[u64] = &[0, 1, 4095, 4096, 4097, 65_536, 1 << 20];
const LARGE: &[u64] = &[100 << 20, 1 << 30];
/// How long one transfer may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Every file by every way.
pub fn run(world: &World, selection: &Selection) -> Result<Run> {
    let folder = world.folder("transfers")?;
    let sizes: Vec<u64> = if world.short { SIZES.to_vec() } else { [SIZES, LARGE].concat() };
    let names = sizes.iter().map(|size| file(&folder, *size)).collect::<Result<Vec<_>>>()?;
    let servers = Servers::start(&folder)?;
    let mut outcome = Outcome::new();
    for (way, base) in servers.ways() {
        for (name, sum) in &names {
            let test = format!("{way} {name}");
            if selection.has(&test) {
                outcome.insert(test, curl::download(&format!("{base}/{name}"), sum)?);
            }
        }
    }
    for (way, arguments) in curl::UPLOADS {
        for (name, sum) in &names {
            let test = format!("{way} {name}");
            if selection.has(&test) && !(name == "file-0" && *way == CHUNKS) {
                let said = curl::upload(&servers.uploads(way), arguments, &folder.join(name), sum)?;
                outcome.insert(test, said);
            }
        }
    }
    let kept: Vec<_> =
        names.iter().filter(|(name, _)| !LARGE.iter().any(|size| name.ends_with(&size.to_string()))).collect();
    for (way, base) in servers.ways() {
        let test = format!("{way} keep-alive");
        if selection.has(&test) {
            outcome.insert(test, curl::kept_alive(&folder, &base, &kept)?);
        }
    }
    let left_out = vec![format!("{CHUNKS} file-0: curl 7.88 and the server wait for each other")];
    Ok(Run { outcome, left_out, sound: Some(" equal") })
}

/// A file of `size` bytes that repeat nowhere near, made once; its name and SHA-256.
fn file(folder: &Path, size: u64) -> Result<(String, String)> {
    let name = format!("file-{size}");
    let path = folder.join(&name);
    if !path.exists() {
        let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ size;
        let mut left = usize::try_from(size)?;
        while left > 0 {
            let block: Vec<u8> = (0..8192).flat_map(|_| next(&mut state).to_le_bytes()).collect();
            let count = left.min(block.len());
            file.write_all(&block[..count])?;
            left -= count;
        }
    }
    Ok((name, sum(&path)?))
}

/// A step of xorshift64 (Marsaglia, 2003).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// The SHA-256 of a file, in hexadecimal.
fn sum(path: &Path) -> Result<String> {
    let log = path.with_extension("sum");
    let text = process::run(Command::new("sha256sum").arg(path), &log, LIMIT)?.well("sha256sum")?;
    fs::remove_file(&log)?;
    text.split_whitespace().next().map(str::to_owned).context("sha256sum said nothing")
}
