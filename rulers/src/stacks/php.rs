//! PHP: php-fpm with the curl extension, behind nginx. nginx passes requests on as FastCGI, over a Unix socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Place, Prepared, Shape, Stack, Start, output};

/// Processes of php-fpm.
const CHILDREN: u32 = 16;

/// Every stack of this family.
pub const STACKS: &[Stack] = &[Stack {
    name: "php-fpm",
    title: "PHP-FPM behind nginx, curl extension",
    mode: "",
    shapes: &[Shape::Chain, Shape::Sequence, Shape::Parallel, Shape::Retry, Shape::Forget, Shape::Timer],
    left_out: &[
        (Shape::Pool, "a request starts from nothing and shares no connection with another"),
        (Shape::Queue, "a process has one thread, and no worker outlives the request"),
    ],
    serves: Some(CHILDREN),
    passes_through: false,
    cheap: true,
    limits: "what nginx passes on over a new connection of a Unix socket is not linked while it has several requests, for such a socket has no number before its first byte: the worker's request is joined to nginx's call, its calls hang below it, and all begin with that call",
    prepare,
    start,
}];

fn prepare(place: &Place) -> Result<Prepared> {
    let program = fpm()?;
    // `PHP 8.2.36 (fpm-fcgi) (built: …)`
    let php = output(Command::new(&program).arg("-v"))?;
    let php = php.split_whitespace().nth(1).context("php-fpm -v names no version")?.to_owned();
    let modules = output(Command::new(&program).arg("-m"))?;
    ensure!(modules.lines().any(|line| line == "curl"), "PHP has no curl extension: install php-curl");
    // `nginx version: nginx/1.22.1`, on standard error
    let nginx = output(Command::new("nginx").arg("-v"))?;
    let nginx = nginx.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Prepared { program, home: place.sources("php"), versions: vec![("PHP".into(), php), ("nginx".into(), nginx)] })
}

/// Debian names the program after PHP's version.
fn fpm() -> Result<PathBuf> {
    let found = fs::read_dir("/usr/sbin").context("/usr/sbin")?.flatten().map(|entry| entry.path());
    let is_fpm = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"));
    found.filter(is_fpm).max().context("php-fpm is not installed")
}

fn start(prepared: &Prepared, start: &Start<'_>) -> Result<Command> {
    for name in ["nginx.conf", "fpm.conf"] {
        configure(&prepared.home.join(name), &start.dir.join(name), prepared, start)?;
    }
    let mut command = Command::new(prepared.home.join("serve.sh"));
    command.arg(&prepared.program).arg(start.dir);
    Ok(command)
}

/// Copies a configuration with its `@NAME@`s filled in.
fn configure(from: &Path, to: &Path, prepared: &Prepared, start: &Start<'_>) -> Result<()> {
    let text = fs::read_to_string(from).with_context(|| from.display().to_string())?;
    let text = text
        .replace("@DIR@", &start.dir.display().to_string())
        .replace("@HOME@", &prepared.home.display().to_string())
        .replace("@PORT@", &start.port.to_string())
        .replace("@CHILDREN@", &CHILDREN.to_string());
    fs::write(to, text).with_context(|| to.display().to_string())
}
