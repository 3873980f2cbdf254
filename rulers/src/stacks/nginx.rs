//! nginx as a proxy in front of the leaf.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Place, Prepared, Shape, Stack, Start, output};

const ONLY_CHAIN: &str = "a proxy makes one call for a request and nothing else";

/// One line a stack.
pub const STACKS: &[Stack] = &[Stack {
    name: "nginx-proxy",
    title: "nginx as a proxy, one worker, connections to the upstream kept",
    mode: "proxy",
    shapes: &[Shape::Chain],
    left_out: &[
        (Shape::Sequence, ONLY_CHAIN),
        (Shape::Parallel, ONLY_CHAIN),
        (Shape::Retry, ONLY_CHAIN),
        (Shape::Forget, ONLY_CHAIN),
        (Shape::Pool, ONLY_CHAIN),
        (Shape::Queue, ONLY_CHAIN),
        (Shape::Timer, ONLY_CHAIN),
    ],
    serves: None,
    passes_through: true,
    cheap: true,
    limits: "one thread serves all requests: unless requests come one at a time, nothing tells whose call it is",
    prepare,
    start,
}];

fn prepare(place: &Place) -> Result<Prepared> {
    // Writes its version on standard error.
    let version = output(Command::new("nginx").arg("-v")).context("is nginx installed?")?;
    let version = version.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Prepared {
        program: "nginx".into(),
        home: place.sources("nginx"),
        versions: vec![("nginx".to_owned(), version)],
    })
}

fn start(prepared: &Prepared, start: &Start<'_>) -> Result<Command> {
    let dir = start.dir.display();
    let configuration = format!(
        "user root;
daemon off;
worker_processes 1;
pid {dir}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream next {{
        server 127.0.0.1:{next};
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://next;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header Host 127.0.0.1:{next};
        }}
    }}
}}
",
        next = start.next,
        port = start.port
    );
    let file = start.dir.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = Command::new(&prepared.program);
    command.arg("-e").arg("stderr").arg("-p").arg(start.dir).arg("-c").arg(file);
    Ok(command)
}
