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

use crate::verdict;
use judge::{Exchanges, Tally};
use places::{Place, Places};

/// The talker's program.
const TALK: &str = include_str!("talk.py");
/// For how many milliseconds the agent is stopped, and may go on then, in turn: a few records are lost, or a ring's worth, or
/// many.
const PACE: [(u64, u64); 4] = [(12, 25), (40, 15), (20, 40), (80, 10)];
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
    verdict::of(&rows.iter().filter(|row| !row.is_right()).map(Tally::line).collect::<Vec<_>>())
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
    for (stopped, going) in PACE.iter().cycle() {
        if begun.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
        scene.agent().signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(*stopped));
        scene.agent().signal(Signal::CONT);
        std::thread::sleep(Duration::from_millis(*going));
    }
    let status = talk.wait(PATIENCE).context("the conversation does not end")?;
    ensure!(status.success(), "{status}: {}", talk.log());
    let log = talk.log();
    let said: Vec<u64> = log.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [asked, after, calm] = said[..] else { anyhow::bail!("it said {log:?}") };
    let took_place = Exchanges { asked: asked as usize, after: after as usize, calm };
    // What was exchanged slowly must be there in time, at both ends.
    let mut tally = Tally::default();
    wait::until_true(Duration::from_secs(10), || {
        tally = judge::judge(place, &scene.receiver.spans()[from..], took_place);
        tally.is_right()
    });
    Ok(tally)
}
