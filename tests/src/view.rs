//! The agent's local view, asked by curl.

use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use crate::curl;
use crate::program::Program;
use crate::scene::Scene;

/// A view at a port of the scene's own: a span that concerns it would be one too many.
pub struct View {
    /// Its port.
    pub port: u16,
}

impl View {
    /// A view that is to come.
    pub fn new(scene: &Scene) -> Self {
        Self { port: scene.port() }
    }

    /// What `--listen` is told.
    pub fn listen(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A URL on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it answers to `path`, which must be 200 and JSON.
    pub fn get(&self, path: &str) -> Json {
        let body = curl::get(&self.url(path), 200).body;
        serde_json::from_slice(&body).unwrap_or_else(|e| panic!("{path}: {e}: {}", String::from_utf8_lossy(&body)))
    }

    /// The traces that a search finds.
    pub fn search(&self, query: &str) -> Vec<Json> {
        let found = self.get(&format!("/api/v1/search?{query}"));
        found["traces"].as_array().expect("a list of traces").clone()
    }

    /// A curl that reads the live stream into its log, from now on.
    pub fn watch(&self, dir: &Path, query: &str) -> Program {
        let url = self.url(&format!("/api/v1/live?{query}"));
        let mut command = Command::new("curl");
        command.args(["-q", "-sSN", "-i", "--noproxy", "*", &url]);
        Program::start("watcher", dir, &mut command)
            .ready("watch", |program| program.log().contains("text/event-stream"))
    }
}

/// The traces that a live stream told so far.
pub fn told(watcher: &Program) -> Vec<Json> {
    let log = watcher.log();
    let events = log.lines().filter_map(|line| line.strip_prefix("data: "));
    // The last line may still be on its way.
    let events = events.filter_map(|event| serde_json::from_str::<Json>(event).ok());
    events.flat_map(|event| event["traces"].as_array().cloned().unwrap_or_default()).collect()
}
