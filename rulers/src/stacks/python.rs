//! Flask and Django under gunicorn, FastAPI under uvicorn, aiohttp.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use wirespan_tests::python;

use super::{Place, Prepared, Shape, Stack, Start, output};

/// Processes of gunicorn's synchronous worker, each with one request at a time.
const SYNC_WORKERS: u32 = 4;
/// Threads of gunicorn's threaded worker.
const THREADS: u32 = 16;

/// One line a stack.
pub const STACKS: &[Stack] = &[
    Stack {
        name: "flask-gunicorn-sync",
        title: "Flask and requests under gunicorn, 4 sync workers",
        mode: "sync",
        serves: Some(SYNC_WORKERS),
        ..stack("Calls of the two queue workers: threads that were handed the work.")
    },
    Stack {
        name: "flask-gunicorn-threads",
        title: "Flask and requests under gunicorn, one worker of 16 threads",
        mode: "threads",
        serves: Some(THREADS),
        ..stack("gunicorn's main thread polls and hands connections to its pool.")
    },
    Stack {
        name: "flask-gunicorn-gevent",
        title: "Flask and requests under gunicorn, one gevent worker",
        mode: "gevent",
        cheap: false,
        ..stack("One thread runs all greenlets.")
    },
    Stack {
        name: "django-gunicorn-threads",
        title: "Django and httpx (blocking) under gunicorn, one worker of 16 threads",
        mode: "django",
        serves: Some(THREADS),
        cheap: false,
        ..stack("gunicorn's main thread polls and hands connections to its pool.")
    },
    Stack {
        name: "fastapi-uvicorn-httpx",
        title: "FastAPI and httpx (asyncio) under uvicorn, one process",
        mode: "fastapi",
        ..stack("One thread runs all tasks.")
    },
    Stack {
        name: "aiohttp",
        title: "aiohttp, server and client",
        mode: "aiohttp",
        ..stack("One thread runs all tasks.")
    },
];

/// What all of them share.
const fn stack(limits: &'static str) -> Stack {
    Stack {
        name: "",
        title: "",
        mode: "",
        shapes: &Shape::ALL,
        left_out: &[],
        serves: None,
        passes_through: false,
        cheap: true,
        limits,
        prepare,
        start,
    }
}

fn prepare(place: &Place) -> Result<Prepared> {
    let sources = place.sources("python");
    let venv = place.made("python-venv");
    python::ensure_venv(&venv, &sources.join("requirements.txt"))?;
    let program = venv.join("bin/python");
    Ok(Prepared { versions: versions(&program)?, program, home: sources })
}

fn versions(program: &Path) -> Result<Vec<(String, String)>> {
    let script = "import sys, importlib.metadata as m\n\
                  print('Python', sys.version.split()[0])\n\
                  for name in sys.argv[1:]: print(name, m.version(name))";
    let packages = ["gunicorn", "Flask", "requests", "gevent", "Django", "fastapi", "uvicorn", "httpx", "aiohttp"];
    let said = output(Command::new(program).args(["-c", script]).args(packages))?;
    Ok(said.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect())
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
