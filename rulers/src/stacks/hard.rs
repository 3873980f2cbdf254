//! Programs whose work wanders in ways that are hard to tell apart: pools that shrink, caches that call once for many, handlers that
//! hand their requests on. Small, and in one file each where they can.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::java::newer;
use super::{Place, Prepared, Shape, Stack, output, python, run};

/// `Hard.THREADS`.
const JAVA_THREADS: u32 = 16;

const NO_LOOP: &str = "no event loop";
const NO_CALL_BLOCKS: &str = "none of its clients blocks the loop";
const OWN_POOL: &str = "it has no pool of its own that work could be left to";

/// What nearly all of them can do.
pub(super) const USUAL: &[Shape] = &[
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
];
/// What those without a loop, and without a pool of their own, cannot.
pub(super) const NOT_OF_THREADS: &[(Shape, &str)] =
    &[(Shape::Blocking, NO_LOOP), (Shape::Other, OWN_POOL), (Shape::Handon, OWN_POOL)];

/// What all of them share.
pub(super) const HARD: Stack = Stack {
    name: "",
    title: "",
    mode: "",
    shapes: &[],
    left_out: &[],
    serves: None,
    passes_through: false,
    cheap: true,
    limits: "work that a pool, a timer or another request does",
    prepare: |place| prepare_java(place, PathBuf::from("java")),
    start: |prepared, _| Ok(start_java(prepared)),
};

/// Every stack of this family.
pub const STACKS: &[Stack] = &[
    Stack {
        name: "hard-java",
        title: "Java `HttpServer` on a fixed pool of threads, `HttpURLConnection`",
        serves: Some(JAVA_THREADS),
        shapes: JAVA,
        left_out: &[(Shape::Blocking, NO_LOOP)],
        ..HARD
    },
    Stack {
        name: "hard-java-virtual",
        title: "The same on virtual threads, one for each piece of work",
        mode: "virtual",
        cheap: false,
        shapes: JAVA,
        left_out: &[(Shape::Blocking, NO_LOOP)],
        prepare: |place| prepare_java(place, newer(place)?),
        ..HARD
    },
    Stack {
        name: "hard-java-virtual-pool",
        title: "The same on a fixed pool of virtual threads",
        mode: "virtual-pool",
        cheap: false,
        serves: Some(JAVA_THREADS),
        shapes: JAVA,
        left_out: &[(Shape::Blocking, NO_LOOP)],
        prepare: |place| prepare_java(place, newer(place)?),
        ..HARD
    },
    Stack {
        name: "hard-python-threads",
        title: "Python's `ThreadingHTTPServer`, `http.client`: a thread a connection",
        shapes: USUAL,
        left_out: NOT_OF_THREADS,
        prepare: prepare_python,
        start: |prepared, _| Ok(start_python(prepared, &["threads.py"])),
        ..HARD
    },
    Stack {
        name: "hard-gevent",
        title: "The same under gevent's patch: a greenlet a connection",
        cheap: false,
        shapes: USUAL,
        left_out: NOT_OF_THREADS,
        prepare: |place| prepare_venv(place, &["gevent"]),
        start: |prepared, _| Ok(start_python(prepared, &["-m", "gevent.monkey", "threads.py"])),
        ..HARD
    },
    Stack { name: "hard-asyncio", title: "Python, asyncio alone", ..LOOP },
    Stack {
        name: "hard-uvloop",
        title: "Python, asyncio on uvloop",
        mode: "uvloop",
        prepare: |place| prepare_venv(place, &["uvloop"]),
        ..LOOP
    },
    Stack {
        name: "hard-node",
        title: "Node's own `http`, server and client",
        shapes: USUAL,
        left_out: &[(Shape::Blocking, NO_CALL_BLOCKS), (Shape::Other, OWN_POOL), (Shape::Handon, OWN_POOL)],
        prepare: prepare_node,
        start: |prepared, _| Ok(start_node(prepared)),
        ..HARD
    },
];

/// What a program of Java can.
const JAVA: &[Shape] = &[
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
];

/// An event loop of Python.
const LOOP: Stack = Stack {
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
    start: |prepared, _| Ok(start_python(prepared, &["loop.py"])),
    ..HARD
};

fn prepare_node(place: &Place) -> Result<Prepared> {
    let program = PathBuf::from("node");
    let version = output(Command::new(&program).arg("--version"))?.trim_start_matches('v').to_owned();
    Ok(Prepared { program, home: place.sources("hard-node"), versions: vec![("Node".into(), version)] })
}

fn start_node(prepared: &Prepared) -> Command {
    let mut command = Command::new(&prepared.program);
    command.arg(prepared.home.join("server.js"));
    command
}

fn prepare_java(place: &Place, java: PathBuf) -> Result<Prepared> {
    let sources = place.sources("hard-java");
    let home = place.made_once("hard-java", |folder| {
        let mut javac = Command::new("javac");
        javac.current_dir(&sources).args(["--release", "17", "-d"]).arg(folder).arg("Hard.java");
        run(javac.stdin(Stdio::null()).stdout(std::io::stderr()))
    })?;
    let version = output(Command::new(&java).arg("--version"))?;
    let version = version.split_whitespace().nth(1).context("java --version names no version")?.to_owned();
    Ok(Prepared { program: java, home, versions: vec![("Java".into(), version)] })
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

/// With these packages, in the environment of the other Python stacks.
fn prepare_venv(place: &Place, packages: &[&str]) -> Result<Prepared> {
    Ok(Prepared { home: place.sources("hard-python"), ..python::prepare(place, packages)? })
}

/// The last argument is a file.
fn start_python(prepared: &Prepared, arguments: &[&str]) -> Command {
    let mut command = Command::new(&prepared.program);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    for argument in arguments {
        match argument.ends_with(".py") {
            true => command.arg(prepared.home.join(argument)),
            false => command.arg(argument),
        };
    }
    command
}
