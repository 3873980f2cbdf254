//! What is under load: nginx with a file, Python's threading server, and wrk.

use std::process::Command;

use anyhow::Result;
use rustix::process::Signal;
use wirespan_tests::program::Program;
use wirespan_tests::{python, wait};

use crate::harmless::check::{World, write};

/// Bytes of the file that is asked for: some pages, so that an answer takes several operations.
const SIZE: usize = 20_000;

/// A server with the answer that it must give.
pub struct Target {
    /// Its name in the report.
    pub name: &'static str,
    /// Where it listens.
    pub port: u16,
    /// The body of every answer.
    pub body: Vec<u8>,
    /// Whether wrk presses as well: Python's server would do nothing else.
    pressed: bool,
    _program: Program,
}

impl Target {
    /// nginx, one worker.
    pub fn nginx(world: &World) -> Result<Self> {
        let (folder, port) = (world.folder("chaos-nginx")?, wait::free_port());
        let home = folder.display();
        let body = body();
        write(&folder.join("file"), &body)?;
        let text = format!(
            "user root;\ndaemon off;\nworker_processes 1;\npid {home}/pid;\nerror_log stderr error;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; sendfile on; keepalive_requests 100000000; client_body_temp_path {home}/b;\n\
             proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;\n\
             server {{ listen 127.0.0.1:{port} backlog=4096; root {home}; }} }}\n"
        );
        write(&folder.join("nginx.conf"), text)?;
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(&folder).arg("-c").arg(folder.join("nginx.conf"));
        let program = Program::start("nginx", &folder, &mut command).listens_on(port);
        Ok(Self { name: "nginx", port, body, pressed: true, _program: program })
    }

    /// Python's threading server of `programs/bodies.py`, by `sendfile`.
    pub fn python(world: &World) -> Result<Self> {
        let folder = world.install("chaos-python", &[("bodies.py", include_str!("../programs/bodies.py"))])?;
        let (port, body) = (wait::free_port(), body());
        write(&folder.join("file"), &body)?;
        let mut command = Command::new(python::system());
        command.current_dir(&folder).args(["bodies.py", &port.to_string()]);
        let program = Program::start("bodies", &folder, &mut command).listens_on(port);
        Ok(Self { name: "Python", port, body, pressed: false, _program: program })
    }

    /// The path that is asked for.
    pub fn path(&self) -> &'static str {
        if self.pressed { "/file" } else { "/sendfile/file" }
    }

    /// wrk beside the checking client.
    pub fn wrk(&self, world: &World) -> Result<Option<Wrk>> {
        if !self.pressed {
            return Ok(None);
        }
        let mut command = Command::new("wrk");
        let url = format!("http://127.0.0.1:{}{}", self.port, self.path());
        command.args(["-t1", "-c8", "-d1h", "--timeout", "20s"]).arg(url);
        Ok(Some(Wrk { program: Program::start("wrk", &world.folder("chaos-wrk")?, &mut command) }))
    }
}

/// wrk, running.
pub struct Wrk {
    program: Program,
}

impl Wrk {
    /// Ends it; what it said.
    pub fn stop(mut self) -> String {
        self.program.signal(Signal::INT);
        self.program.wait(wirespan_tests::program::START);
        self.program.log()
    }
}

fn body() -> Vec<u8> {
    (0..SIZE).map(|at| b"wirespan harms nothing\n"[at % 23] ^ u8::from(at % 997 == 0)).collect()
}
