//! Programs whose work wanders in ways that are hard to tell apart: pools that shrink, caches that call once for many, handlers that
//! hand their requests on. Small, and in one file each where they can.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Place, Prepared, Shape, Stack, output, run};

/// `Hard.THREADS`.
const JAVA_THREADS: u32 = 16;

const NO_LOOP: &str = "no event loop";
const OWN_POOL: &str = "it has no pool of its own that work could be left to";

const HARD: Stack = Stack {
    name: "",
    title: "",
    mode: "",
    shapes: &[],
    left_out: &[],
    serves: None,
    passes_through: false,
    cheap: true,
    limits: "work that a pool, a timer or another request does",
    prepare: prepare_java,
    start: |prepared, _| Ok(start_java(prepared)),
};

/// Every stack of this family.
pub const STACKS: &[Stack] = &[
    Stack {
        name: "hard-java",
        title: "Java `HttpServer` on a fixed pool of threads, `HttpURLConnection`",
        serves: Some(JAVA_THREADS),
        shapes: &[
            Shape::Shared,
            Shape::Semaphore,
            Shape::Token,
            Shape::Timed,
            Shape::Sized,
            Shape::Barrier,
            Shape::Refresh,
            Shape::Prefetch,
            Shape::Shrinking,
            Shape::Lazy,
            Shape::After,
            Shape::Other,
            Shape::Handon,
            Shape::Mix,
        ],
        left_out: &[(Shape::Blocking, NO_LOOP)],
        ..HARD
    },
    Stack {
        name: "hard-python-threads",
        title: "Python's `ThreadingHTTPServer`, `http.client`: a thread a connection",
        shapes: &[
            Shape::Shared,
            Shape::Semaphore,
            Shape::Token,
            Shape::Timed,
            Shape::Sized,
            Shape::Barrier,
            Shape::Refresh,
            Shape::Prefetch,
            Shape::Shrinking,
            Shape::Lazy,
            Shape::After,
            Shape::Mix,
        ],
        left_out: &[(Shape::Blocking, NO_LOOP), (Shape::Other, OWN_POOL), (Shape::Handon, OWN_POOL)],
        prepare: prepare_python,
        start: |prepared, _| Ok(start_python(prepared, "threads.py")),
        ..HARD
    },
    Stack {
        name: "hard-asyncio",
        title: "Python, asyncio alone",
        cheap: false,
        shapes: &[
            Shape::Shared,
            Shape::Semaphore,
            Shape::Token,
            Shape::Timed,
            Shape::Sized,
            Shape::Barrier,
            Shape::Refresh,
            Shape::Prefetch,
            Shape::Shrinking,
            Shape::Lazy,
            Shape::After,
            Shape::Blocking,
            Shape::Mix,
        ],
        left_out: &[(Shape::Other, OWN_POOL), (Shape::Handon, OWN_POOL)],
        prepare: prepare_python,
        start: |prepared, _| Ok(start_python(prepared, "loop.py")),
        ..HARD
    },
];

fn prepare_java(place: &Place) -> Result<Prepared> {
    let sources = place.sources("hard-java");
    let home = place.made_once("hard-java", |folder| {
        let mut javac = Command::new("javac");
        javac.current_dir(&sources).args(["--release", "17", "-d"]).arg(folder).arg("Hard.java");
        run(javac.stdin(Stdio::null()).stdout(std::io::stderr()))
    })?;
    let version = output(Command::new("java").arg("--version"))?;
    let version = version.split_whitespace().nth(1).context("java --version names no version")?.to_owned();
    Ok(Prepared { program: PathBuf::from("java"), home, versions: vec![("Java".into(), version)] })
}

fn start_java(prepared: &Prepared) -> Command {
    let mut command = Command::new(&prepared.program);
    command.args(["-Xmx256m", "-cp"]).arg(&prepared.home).arg("Hard");
    command
}

fn prepare_python(place: &Place) -> Result<Prepared> {
    let program = PathBuf::from("python3");
    let version = output(Command::new(&program).args(["-c", "import sys; print(sys.version.split()[0])"]))?;
    Ok(Prepared { program, home: place.sources("hard-python"), versions: vec![("Python".into(), version)] })
}

fn start_python(prepared: &Prepared, file: &str) -> Command {
    let mut command = Command::new(&prepared.program);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(prepared.home.join(file));
    command
}
