//! Whether the bound on memory holds: attacks by one program, every sink stuck, the agent's size as the system sees it.
//!
//! | module | what it is |
//! |---|---|
//! | [`attack`] | what is sent, and the program that sends it |
//! | [`subject`] | the agent, and how large it is |
//! | [`report`] | the table and the JSON |
//!
//! An agent is started with a small bound; its standard output is a pipe that nobody reads, its OTLP endpoint takes
//! connections and does not answer, its view keeps traces. Then a program floods it, for seconds, over one connection or
//! some hundred. Meanwhile its resident memory may at no moment be more than the bound and [`BASE`].
//!
//! When the attack has ended, the pipe is read and the endpoint answers. Then memory goes back, in [`RETURN`] at most: what is
//! held are the traces that the view keeps, and [`REST`]; what is resident of its own (without its file, and without the ring,
//! which stays mapped as far as it was ever used) is what was before the attack, and what is held (as the allocator lays it: a
//! third more), and [`AFTER`]. An attack that never took more than that shows nothing of the way back,
//! so of all attacks together some must have; where none has, one goes on for longer.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

mod attack;
mod report;
mod subject;

use crate::verdict;
use attack::{ATTACKS, Attack};
use report::Row;
use subject::Subject;

/// What the agent may take beyond its bound, MiB: the program and its threads, the ring that it shares with the kernel
/// (mapped twice), one batch in each hand, and what the allocator adds to all that.
pub const BASE: u64 = 48;
/// What of its own may be resident beside what was before an attack and what is held when it has ended, MiB: tables that keep
/// the room they once had, and what the allocator cannot give back, since it lies between what is in use.
pub const AFTER: u64 = 24;
/// What may be held then beside the view's traces, MiB.
pub const REST: u64 = 4;
/// How long memory may take to go back: batches that are under way to an endpoint that was stuck are tried again after ten
/// seconds.
const RETURN: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(10);
/// The bounds that are tried, MiB.
const BOUNDS: [u64; 2] = [64, 256];

/// What `memory` takes.
#[derive(Args)]
pub struct Options {
    /// The form for CI: each attack for two seconds, against the smaller bound.
    #[arg(long)]
    short: bool,
    /// Only the attacks whose name contains this; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Writes the table into this file as well, and the JSON beside it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Says which attacks there are.
    #[arg(long)]
    list: bool,
    /// Attacks, instead of measuring: how this program calls itself.
    #[arg(long, hide = true, value_name = "NAME")]
    attack: Option<String>,
    /// For how long, milliseconds.
    #[arg(long, hide = true, default_value_t = 2000)]
    for_ms: u64,
}

/// Runs the attacks; the exit status is a failure if the bound did not hold.
pub fn command(options: &Options) -> Result<ExitCode> {
    if let Some(name) = &options.attack {
        let found = ATTACKS.iter().find(|attack| attack.name == name).context("no attack is called so")?;
        println!("{}", found.run(Duration::from_millis(options.for_ms))?);
        return Ok(ExitCode::SUCCESS);
    }
    let wanted =
        |attack: &&Attack| options.only.is_empty() || options.only.iter().any(|n| attack.name.contains(n.as_str()));
    let chosen: Vec<&Attack> = ATTACKS.iter().filter(wanted).collect();
    if options.list {
        chosen.iter().for_each(|attack| println!("{:<24} {}", attack.name, attack.what));
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(!chosen.is_empty(), "no attack is called so: see `--list`");
    let (bounds, lasts) = if options.short { (&BOUNDS[..1], 2) } else { (&BOUNDS[..], 12) };
    let mut rows = Vec::new();
    for bound in bounds {
        for attack in &chosen {
            let row = measure(attack, *bound, Duration::from_secs(lasts)).with_context(|| attack.name)?;
            eprintln!("memory: {}", row.line());
            rows.push(row);
            report::write(&rows, options.out.as_deref())?;
        }
    }
    if options.only.is_empty() {
        show_the_way_back(&mut rows, lasts)?;
        report::write(&rows, options.out.as_deref())?;
    }
    println!("{}", report::markdown(&rows));
    let mut wrong: Vec<String> = rows.iter().filter(|row| !row.holds()).map(Row::line).collect();
    if options.only.is_empty() && !rows.iter().any(Row::shows_the_way_back) {
        wrong.push("no attack made the agent grow by more than may stay: nothing is known of the way back".to_owned());
    }
    verdict::of(&wrong)
}

/// How far an attack gets is a matter of the machine's speed. If none took more than may stay, the one that came nearest has more
/// time.
fn show_the_way_back(rows: &mut Vec<Row>, lasts: u64) -> Result<()> {
    for longer in [4, 16] {
        let Some(nearest) = rows.iter().max_by_key(|row| row.beyond()).filter(|row| !row.shows_the_way_back()) else {
            return Ok(());
        };
        let row = measure(nearest.attack, nearest.bound, Duration::from_secs(lasts * longer))?;
        eprintln!("memory: for {} s, {}", lasts * longer, row.line());
        rows.push(row);
    }
    Ok(())
}

/// One attack against one bound.
fn measure(attack: &'static Attack, bound: u64, lasts: Duration) -> Result<Row> {
    let mut subject = Subject::start(bound)?;
    let idle = subject.resident()?;
    let mut attacker = Command::new(std::env::current_exe().context("this program's path")?)
        .args(["memory", "--attack", attack.name, "--for-ms", &lasts.as_millis().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the attacker")?;
    let (mut peak, begun) = (idle, Instant::now());
    while attacker.try_wait().context("the attacker is lost")?.is_none() {
        peak = peak.max(subject.resident()?);
        if begun.elapsed() > lasts * 4 + Duration::from_secs(20) {
            attacker.kill().context("ending the attacker")?;
        }
        std::thread::sleep(LOOK);
    }
    let ended = attacker.wait_with_output().context("the attacker is lost")?;
    ensure!(ended.status.success(), "the attacker failed: {}", ended.status);
    let sent: u64 = String::from_utf8_lossy(&ended.stdout).trim().parse().context("the attacker says what it sent")?;
    // What is worked off now still counts.
    let ended = Instant::now();
    subject.read_on()?;
    let (mut after, mut held) = (subject.resident()?, subject.held()?);
    while (after.own > may_stay(idle.own, held.0) || held.0 > held.1 + REST) && ended.elapsed() < RETURN {
        std::thread::sleep(LOOK * 10);
        (after, held) = (subject.resident()?, subject.held()?);
        peak = peak.max(after);
    }
    let took = ended.elapsed();
    let counters = subject.stop()?;
    let (held, kept) = held;
    Ok(Row { attack, bound, sent: sent >> 20, idle: idle.own, peak, after: after.own, took, held, kept, counters })
}

/// How much of its own may be resident when an attack has ended and so much is held.
fn may_stay(idle: u64, held: u64) -> u64 {
    idle + held + held / 3 + AFTER
}
