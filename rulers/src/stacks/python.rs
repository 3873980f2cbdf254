//! Flask and Django under gunicorn, FastAPI under uvicorn, aiohttp.

use std::process::Command;

use anyhow::Result;
use wirespan_tests::python;

use super::{Place, Prepared, Shape, Stack, Start, output};

/// Processes of gunicorn's synchronous worker, each with one request at a time.
const SYNC_WORKERS: u32 = 4;
/// Threads of gunicorn's threaded worker.
const THREADS: u32 = 16;

const HANDED_OVER: &str = "`queue`, and `forget` on a pool: the work is handed to a thread that lives on, and nothing on the \
wire says whose it is";
const ONE_THREAD: &str =
    "one thread runs all requests: unless requests come one at a time, nothing tells whose call it is";

/// One line a stack.
pub const STACKS: &[Stack] = &[
    Stack {
        name: "flask-gunicorn-sync",
        title: "Flask and requests under gunicorn, 4 sync workers",
        mode: "sync",
        serves: Some(SYNC_WORKERS),
        ..stack(HANDED_OVER)
    },
    Stack {
        name: "flask-gunicorn-threads",
        title: "Flask and requests under gunicorn, one worker of 16 threads",
        mode: "threads",
        serves: Some(THREADS),
        ..stack(HANDED_OVER)
    },
    Stack {
        name: "flask-gunicorn-gevent",
        title: "Flask and requests under gunicorn, one gevent worker",
        mode: "gevent",
        cheap: false,
        prepare: |place| prepare(place, &["gunicorn", "gevent", "Flask", "requests"]),
        ..stack(ONE_THREAD)
    },
    Stack {
        name: "django-gunicorn-threads",
        title: "Django and httpx (blocking) under gunicorn, one worker of 16 threads",
        mode: "django",
        serves: Some(THREADS),
        cheap: false,
        prepare: |place| prepare(place, &["gunicorn", "Django", "httpx"]),
        ..stack(HANDED_OVER)
    },
    Stack {
        name: "fastapi-uvicorn-httpx",
        title: "FastAPI and httpx (asyncio) under uvicorn, one process",
        mode: "fastapi",
        prepare: |place| prepare(place, &["fastapi", "uvicorn", "httpx"]),
        ..stack(ONE_THREAD)
    },
    Stack {
        name: "aiohttp",
        title: "aiohttp, server and client",
        mode: "aiohttp",
        prepare: |place| prepare(place, &["aiohttp"]),
        ..stack(ONE_THREAD)
    },
];

/// What all of them share.
const fn stack(limits: &'static str) -> Stack {
    Stack {
        name: "",
        title: "",
        mode: "",
        shapes: &Shape::USUAL,
        left_out: &[],
        serves: None,
        passes_through: false,
        cheap: true,
        limits,
        prepare: |place| prepare(place, &["gunicorn", "Flask", "requests"]),
        start,
    }
}

/// The environment, and the versions of `packages` in it.
fn prepare(place: &Place, packages: &[&str]) -> Result<Prepared> {
    let sources = place.sources("python");
    let venv = place.made("python-venv");
    python::ensure_venv_of(&sources.join("requirements.txt"), &venv)?;
    let program = venv.join("bin/python");
    let script = "import sys, importlib.metadata as m\n\
                  print('Python', sys.version.split()[0])\n\
                  for name in sys.argv[1:]: print(name, m.version(name))";
    let said = output(Command::new(&program).args(["-c", script]).args(packages))?;
    let pairs = said.lines().filter_map(|line| line.split_once(' '));
    let versions = pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
    Ok(Prepared { program, home: sources, versions })
}

fn start(prepared: &Prepared, start: &Start<'_>) -> Result<Command> {
    let mut command = Command::new(&prepared.program);
    command.current_dir(start.dir).env("PYTHONPATH", &prepared.home).env("PYTHONDONTWRITEBYTECODE", "1");
    let bind = format!("127.0.0.1:{}", start.port);
    let gunicorn = ["-m", "gunicorn", "--bind", &bind, "--timeout", "120", "--no-control-socket", "--workers"];
    let (processes, threads) = (SYNC_WORKERS.to_string(), THREADS.to_string());
    let port = start.port.to_string();
    match start.mode {
        "sync" => command.args(gunicorn).args([&processes, "flask_app:app"]),
        "threads" => {
            command.args(gunicorn).args(["1", "--worker-class", "gthread", "--threads", &threads, "flask_app:app"])
        }
        "gevent" => command.args(gunicorn).args(["1", "--worker-class", "gevent", "flask_app:app"]),
        "django" => {
            command.args(gunicorn).args(["1", "--worker-class", "gthread", "--threads", &threads, "django_app:app"])
        }
        "fastapi" => command
            .args(["-m", "uvicorn", "--port", &port, "--no-access-log", "--log-level", "warning"])
            .arg("fastapi_app:app"),
        _ => command.arg(prepared.home.join("aiohttp_app.py")),
    };
    Ok(command)
}
