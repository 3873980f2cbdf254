//! C++: blocking sockets, a pool of threads and libcurl.

use std::process::{Command, Stdio};

use anyhow::Result;

use super::{Place, Prepared, Shape, Stack, Start, output, run};

/// `WORKERS` in `main.cpp`.
const WORKERS: u32 = 8;

/// Every stack of this family.
pub const STACKS: &[Stack] = &[Stack {
    name: "cpp-pool",
    title: "C++: a pool of 8 threads, blocking sockets, libcurl",
    mode: "",
    shapes: &Shape::USUAL,
    left_out: &[],
    serves: Some(WORKERS),
    passes_through: false,
    cheap: true,
    limits: "work handed to another thread of the pool (`queue`) leaves no trace in the kernel",
    prepare,
    start,
}];

fn prepare(place: &Place) -> Result<Prepared> {
    let sources = place.sources("cpp");
    let home = place.made_once("cpp", |folder| {
        let mut compiler = Command::new("g++");
        compiler.current_dir(&sources).args(["-std=c++20", "-O1", "-g1", "-Wall", "-Wextra", "-Werror", "-pthread"]);
        compiler.args(["main.cpp", "server.cpp", "calls.cpp", "shapes.cpp", "-lcurl", "-o"]).arg(folder.join("hops"));
        run(compiler.stdin(Stdio::null()).stdout(std::io::stderr()))
    })?;
    let gcc = output(Command::new("g++").arg("-dumpfullversion"))?;
    // `libcurl 7.88.1`
    let curl = output(Command::new("curl-config").arg("--version"))?;
    let curl = curl.trim_start_matches("libcurl ").to_owned();
    Ok(Prepared { program: home.join("hops"), home, versions: vec![("g++".into(), gcc), ("libcurl".into(), curl)] })
}

fn start(prepared: &Prepared, _: &Start<'_>) -> Result<Command> {
    Ok(Command::new(&prepared.program))
}
