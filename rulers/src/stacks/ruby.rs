//! Ruby: Puma and WEBrick, with `Net::HTTP`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{Place, Prepared, Shape, Stack, Start, output};

/// Of Puma.
const THREADS: u32 = 16;

/// Every stack of this family.
pub const STACKS: &[Stack] = &[Stack {
    name: "puma",
    title: "Puma, one process of 16 threads, `Net::HTTP`",
    mode: "",
    shapes: &Shape::USUAL,
    left_out: &[],
    serves: Some(THREADS),
    passes_through: false,
    cheap: false,
    limits: "what a request has other threads do: a queue's workers, what is left after the answer",
    prepare,
    start,
}];

fn prepare(place: &Place) -> Result<Prepared> {
    // `puma version 5.6.5`, `ruby 3.1.2p20 (...)`
    let last = |text: String, n: usize| text.split_whitespace().nth(n).unwrap_or_default().to_owned();
    let versions = vec![
        ("Ruby".into(), last(output(Command::new("ruby").arg("--version"))?, 1)),
        ("puma".into(), last(output(Command::new("puma").arg("--version"))?, 2)),
    ];
    Ok(Prepared { program: PathBuf::from("puma"), home: place.sources("ruby"), versions })
}

fn start(prepared: &Prepared, start: &Start<'_>) -> Result<Command> {
    let mut command = Command::new(&prepared.program);
    let address = format!("tcp://127.0.0.1:{}", start.port);
    command.args(["--quiet", "-t", &format!("{THREADS}:{THREADS}"), "-b", &address]);
    command.arg(prepared.home.join("config.ru"));
    Ok(command)
}
