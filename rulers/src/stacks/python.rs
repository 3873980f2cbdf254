//! Flask and Django under gunicorn, FastAPI and Django under ASGI servers, aiohttp, Tornado.

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
const TASKS: &str = "after the answer, what comes when the request's trace has left";
const GREENLETS: &str =
    "`queue`, and `forget`: the work is handed to a greenlet that lives on, and nothing says whose it is";
const THREADS_OF_TASKS: &str = "after the answer, threads' work";

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
        ..stack(GREENLETS)
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
        ..stack(TASKS)
    },
    Stack {
        name: "fastapi-uvloop-httpx",
        title: "FastAPI and httpx under uvicorn with uvloop and httptools, one process",
        mode: "uvloop",
        cheap: false,
        prepare: |place| prepare(place, &["fastapi", "uvicorn", "uvloop", "httptools", "httpx"]),
        ..stack(TASKS)
    },
    Stack {
        name: "fastapi-hypercorn-httpx",
        title: "FastAPI and httpx (asyncio) under Hypercorn, one process",
        mode: "hypercorn",
        cheap: false,
        prepare: |place| prepare(place, &["fastapi", "Hypercorn", "httpx"]),
        ..stack(TASKS)
    },
    Stack {
        name: "fastapi-to-thread",
        title: "FastAPI under uvicorn, httpx (blocking) by `asyncio.to_thread`",
        mode: "to_thread",
        cheap: false,
        prepare: |place| prepare(place, &["fastapi", "uvicorn", "httpx"]),
        ..stack(THREADS_OF_TASKS)
    },
    Stack {
        name: "fastapi-executor",
        title: "FastAPI under uvicorn, httpx (blocking) by `run_in_executor`",
        mode: "executor",
        cheap: false,
        prepare: |place| prepare(place, &["fastapi", "uvicorn", "httpx"]),
        ..stack(THREADS_OF_TASKS)
    },
    Stack {
        name: "django-uvicorn-httpx",
        title: "Django and httpx (asyncio) under uvicorn, one process",
        mode: "django-asgi",
        cheap: false,
        prepare: |place| prepare(place, &["Django", "uvicorn", "httpx"]),
        ..stack(TASKS)
    },
    Stack {
        name: "tornado",
        title: "Tornado, server and client",
        mode: "tornado",
        cheap: false,
        prepare: |place| prepare(place, &["tornado"]),
        ..stack(TASKS)
    },
    Stack {
        name: "aiohttp",
        title: "aiohttp, server and client",
        mode: "aiohttp",
        prepare: |place| prepare(place, &["aiohttp"]),
        ..stack(TASKS)
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
pub(super) fn prepare(place: &Place, packages: &[&str]) -> Result<Prepared> {
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
    let uvicorn = ["-m", "uvicorn", "--port", &port, "--no-access-log", "--log-level", "warning"];
    match start.mode {
        "sync" => command.args(gunicorn).args([&processes, "flask_app:app"]),
        "threads" => {
            command.args(gunicorn).args(["1", "--worker-class", "gthread", "--threads", &threads, "flask_app:app"])
        }
        "gevent" => command.args(gunicorn).args(["1", "--worker-class", "gevent", "flask_app:app"]),
        "django" => {
            command.args(gunicorn).args(["1", "--worker-class", "gthread", "--threads", &threads, "django_app:app"])
        }
        "fastapi" | "to_thread" | "executor" => command.args(uvicorn).args(["--loop", "asyncio", "fastapi_app:app"]),
        "uvloop" => command.args(uvicorn).args(["--loop", "uvloop", "fastapi_app:app"]),
        "django-asgi" => command.args(uvicorn).args(["--loop", "asyncio", "django_asgi_app:app"]),
        "hypercorn" => command.args(["-m", "hypercorn", "--bind", &bind, "--workers", "0", "fastapi_app:app"]),
        "tornado" => command.arg(prepared.home.join("tornado_app.py")),
        _ => command.arg(prepared.home.join("aiohttp_app.py")),
    };
    Ok(command)
}
