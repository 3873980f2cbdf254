//! Whether a response is ever given to another request where records are lost: real programs exchange numbered requests and
//! responses under an agent whose ring is much too small and that is stopped again and again, over TCP and Unix sockets, in
//! every protocol that has no ids. Then they go on slowly, and all of that must be seen.
//!
//! | module | what it is |
//! |---|---|
//! | [`places`] | the programs, and where they listen |
//! | [`judge`] | spans against numbers |

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::process::Signal;
use wirespan_tests::program::Program;
use wirespan_tests::scene::Scene;
use wirespan_tests::{python, wait};

mod judge;
mod places;

use judge::Tally;
use places::{Place, Places};

/// The talker's program.
const TALK: &str = include_str!("talk.py");
/// How long the agent is stopped, and how long it may go on then: about a ring's worth is lost each time.
const STOPPED: Duration = Duration::from_millis(12);
const GOING: Duration = Duration::from_millis(25);
/// How long the whole conversation of one place may take beyond its load.
const PATIENCE: Duration = Duration::from_secs(60);
/// What `losses` takes.
#[derive(Args)]
pub struct Options {
    /// The form for CI: a second of load for each.
    #[arg(long)]
    short: bool,
    /// Only the places whose name contains this.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

/// Runs all; the exit status is a failure if a pair was wrong, nothing was lost, or what came after the losses is missing.
pub fn command(options: &Options) -> Result<ExitCode> {
    let seconds = if options.short { 1 } else { 10 };
    let mut rows = Vec::new();
    let mut scene = Scene::new();
    scene.trace_with(&["--ring-bytes", "64KiB", "--query-text"]);
    let places = Places::start(&scene)?;
    for place in places.all().iter().filter(|p| options.only.as_ref().is_none_or(|only| p.name.contains(only))) {
        let tally = one(&mut scene, place, seconds).with_context(|| place.name.clone())?;
        eprintln!("losses: {}", tally.line());
        rows.push(tally);
    }
    ensure!(!rows.is_empty(), "no place is called so");
    println!("{}", judge::markdown(&rows));
    Ok(if rows.iter().all(Tally::is_right) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Load on one place, with losses, and what comes after.
fn one(scene: &mut Scene, place: &Place, seconds: u64) -> Result<Tally> {
    let from = scene.receiver.spans().len();
    let script = scene.dir().join("talk.py");
    fs::write(&script, TALK)?;
    let mut command = Command::new(python::bin("python"));
    command.arg(&script).args([place.protocol, &place.at, &seconds.to_string()]);
    let mut talk = Program::try_start(&format!("talk-{}", place.name), scene.dir(), &mut command)?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        scene.agent().signal(Signal::STOP);
        std::thread::sleep(STOPPED);
        scene.agent().signal(Signal::CONT);
        std::thread::sleep(GOING);
    }
    let status = talk.wait(PATIENCE).context("the conversation does not end")?;
    ensure!(status.success(), "{status}: {}", talk.log());
    let log = talk.log();
    let mut numbers = log.split_whitespace().map(str::parse::<usize>);
    let (Some(Ok(asked)), Some(Ok(after))) = (numbers.next(), numbers.next()) else { anyhow::bail!("it said {log:?}") };
    // What was exchanged slowly must be there in time, at both ends.
    let mut tally = Tally::default();
    wait::until_true(Duration::from_secs(10), || {
        tally = judge::judge(place, &scene.receiver.spans()[from..], asked, after);
        tally.is_right()
    });
    Ok(tally)
}
