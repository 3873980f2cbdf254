//! Go: `net/http` on both sides. The compiler comes from PyPI, because Debian's is older than what people run.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Place, Prepared, Shape, Stack, Start, output, pypi, run};

/// Every stack of this family.
pub const STACKS: &[Stack] = &[Stack {
    name: "go-net-http",
    title: "Go `net/http`, server and client",
    mode: "",
    shapes: &Shape::USUAL,
    left_out: &[],
    serves: None,
    passes_through: false,
    cheap: true,
    limits: "goroutines wander between threads, and the client's connections are written by goroutines of their own",
    prepare,
    start,
}];

fn prepare(place: &Place) -> Result<Prepared> {
    let root = pypi::installed(place, "go", "go-toolchain")?.join("go");
    let sources = place.sources("go");
    let home = place.made_once("go", |folder| {
        run(go(&root).current_dir(&sources).args(["build", "-o"]).arg(folder.join("hops")).arg("."))
    })?;
    let version = output(go(&root).args(["env", "GOVERSION"]))?.trim_start_matches("go").to_owned();
    Ok(Prepared { program: home.join("hops"), home, versions: vec![("Go".into(), version)] })
}

/// The compiler, which asks nobody for modules or for another version of itself. Its cache is the user's.
fn go(root: &Path) -> Command {
    let mut command = Command::new(root.join("bin/go"));
    command.env("GOROOT", root).env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("CGO_ENABLED", "0");
    command
}

fn start(prepared: &Prepared, _: &Start<'_>) -> Result<Command> {
    Ok(Command::new(&prepared.program))
}
