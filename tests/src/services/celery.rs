//! Celery workers for the tasks of `jobs.py`, and the Flask application `desk:app` that sends them and is called by them.

use std::process::Command;

use crate::program::Program;
use crate::python;
use crate::scene::Scene;
use crate::services::gunicorn::{Gunicorn, Worker};
use crate::services::install;

/// What workers and senders are told.
pub struct Celery {
    environment: Vec<(&'static str, String)>,
    desk: u16,
}

impl Celery {
    /// Broker and result backend by their URLs.
    pub fn new(scene: &Scene, broker: &str, backend: &str) -> Self {
        for name in ["jobs.py", "desk.py"] {
            install(name, scene.dir());
        }
        let desk = scene.port();
        let environment = [("BROKER", broker.to_owned()), ("BACKEND", backend.to_owned())];
        let there = ("DESK", format!("http://127.0.0.1:{desk}"));
        Self { environment: environment.into_iter().chain([there]).collect(), desk }
    }

    /// Tells a setting.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// The application that sends tasks.
    pub fn desk(&self, scene: &Scene) -> Gunicorn {
        Gunicorn::application(scene, "desk:app", Worker::Threads(8), self.desk, &self.environment)
    }

    /// A worker with a pool of this kind and size.
    pub fn worker(&self, scene: &Scene, name: &str, pool: &str, concurrency: u32) -> Program {
        let mut command = Command::new(python::bin("celery"));
        command.current_dir(scene.dir()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(["-A", "jobs", "worker", "--pool", pool, "--concurrency", &concurrency.to_string()]);
        command.args(["--loglevel", "INFO", "--hostname", &format!("{name}@localhost")]);
        command.args(["--without-gossip", "--without-mingle", "--without-heartbeat"]);
        let is_ready = |program: &Program| program.log().contains(" ready.");
        Program::start(name, scene.dir(), &mut command).ready("take tasks", is_ready)
    }
}
