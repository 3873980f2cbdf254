//! How far what spans say of where their time went is from the truth: programs whose threads tell it by their own clocks.
//!
//! The program's clocks are read in the handler, so the span is longer by what is before and behind that, of which the program
//! does not know how it divides. A part is wrong by what it is less than the truth, or more than the truth with all of that.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::Value as Json;
use wirespan_tests::curl;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span, Value};

/// What is done, each for so many milliseconds.
const WORK: [&str; 6] = ["cpu", "sleep", "lock", "disk", "child", "queue"];
const MILLIS: [u64; 3] = [5, 20, 80];
const PARTS: [&str; 3] = ["cpu", "runqueue", "blocked"];
/// A part that is wrong by more than this part of the whole, at the 95th of a hundred requests, fails the ruler.
const LIMIT: f64 = 0.05;

/// What `timesplit` takes.
#[derive(Args)]
pub struct Options {
    /// A few requests of each kind instead of many.
    #[arg(long)]
    short: bool,
}

/// One request: what its server's clocks said and what its span says, seconds.
struct Sample {
    outside: f64,
    own: f64,
    truth: [f64; 3],
    told: [f64; 3],
}

impl Sample {
    /// By which part of its own time each part is wrong.
    fn errors(&self) -> [f64; 3] {
        [0, 1, 2].map(|n| {
            let more = self.told[n] - self.truth[n];
            (-more).max(more - self.outside).max(0.0) / self.own
        })
    }
}

/// Runs all; a failure if a kind is further off than it may be, or not all spans say that they are exact.
pub fn command(options: &Options) -> Result<ExitCode> {
    let requests = if options.short { 4 } else { 50 };
    let mut scene = Scene::new();
    let spender = Python::spender(&scene, "");
    scene.trace();
    let mut said = Vec::new();
    for what in WORK {
        for n in 0..requests * MILLIS.len() {
            let path = format!("/{what}/{}/{n}", MILLIS[n % MILLIS.len()]);
            let reply = curl::get(&spender.url(&path), 200);
            said.push((what, path, serde_json::from_slice::<Json>(&reply.body)?));
        }
    }
    let spans = scene.finish(2 * said.len());
    println!("| Work | requests | on CPU | waiting for a CPU | blocked | outside |\n|---|--:|--:|--:|--:|--:|");
    let mut right = true;
    for work in WORK {
        let of_work = said.iter().filter(|(what, ..)| *what == work);
        let samples: Vec<Sample> =
            of_work.map(|(_, path, truth)| sample(&spans, path, truth)).collect::<Result<_>>()?;
        right &= report(work, &samples);
    }
    println!("\nParts of the span's own time by which its parts are wrong: median, 95th of a hundred.");
    Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line; whether it is right.
fn report(work: &str, samples: &[Sample]) -> bool {
    let of_part = |n: usize| sorted(samples.iter().map(|sample| sample.errors()[n]).collect());
    let errors = [0, 1, 2].map(of_part);
    let outside = sorted(samples.iter().map(|sample| sample.outside / sample.own).collect());
    let cells: Vec<String> = errors
        .iter()
        .map(|errors| format!("{:.2} %, {:.2} %", 100.0 * at(errors, 0.5), 100.0 * at(errors, 0.95)))
        .collect();
    println!("| {work} | {} | {} | {:.1} % |", samples.len(), cells.join(" | "), 100.0 * at(&outside, 0.5));
    errors.iter().all(|errors| at(errors, 0.95) <= LIMIT)
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn at(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

fn sample(spans: &[Span], path: &str, said: &Json) -> Result<Sample> {
    let mut found = spans.iter().filter(|span| span.kind == Kind::Server && span.path() == path);
    let span = found.next().with_context(|| format!("{path} has no span"))?;
    ensure!(span.text("wirespan.time.coverage") == Some("exact"), "{path} is not exact: {span:?}");
    let told = PARTS.map(|part| match span.attributes.get(&format!("wirespan.time.{part}")) {
        Some(Value::Double(seconds)) => *seconds,
        _ => 0.0,
    });
    let truth = |part: &str| said[part].as_f64().unwrap_or_default() / 1e9;
    let own = (span.end - span.start) as f64 / 1e9;
    Ok(Sample { outside: (own - truth("wall")).max(0.0), own, truth: PARTS.map(truth), told })
}
