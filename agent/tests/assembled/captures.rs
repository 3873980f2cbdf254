//! What real programs said to each other: `protocols/captures`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A conversation on one connection.
pub struct Capture {
    /// Whether it passed in datagrams.
    pub datagrams: bool,
    /// Which way (true: to the server) and what.
    pub operations: Vec<(bool, Vec<u8>)>,
}

/// All that are committed, in a fixed order.
pub fn all() -> &'static [Capture] {
    static ALL: OnceLock<Vec<Capture>> = OnceLock::new();
    ALL.get_or_init(|| {
        let root = root();
        let folders =
            ["amqp", "dns", "fastcgi", "http1", "http2", "memcached", "mysql", "postgresql", "redis", "scgi", "uwsgi"];
        let mut files: Vec<PathBuf> = folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("the captures are there"))
            .map(|file| file.expect("it can be read").path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
            .collect();
        files.sort();
        files.iter().map(|file| read(file)).collect()
    })
}

/// `protocols/captures`, above the folder of whichever crate this is part of.
fn root() -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above
        .map(|folder| folder.join("protocols/captures"))
        .find(|folder| folder.is_dir())
        .expect("the captures are there")
}

fn read(file: &Path) -> Capture {
    let text = std::fs::read(file).expect("it can be read");
    let capture: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
    let operation = |operation: &serde_json::Value| {
        let to_server = match operation[0].as_str()? {
            "request" => true,
            "response" => false,
            _ => return None,
        };
        Some((to_server, operation[1].as_str()?.chars().map(|c| c as u32 as u8).collect()))
    };
    let operations: Vec<_> = capture["operations"].as_array().expect("a list").iter().filter_map(operation).collect();
    assert!(!operations.is_empty(), "{}", file.display());
    Capture { datagrams: file.parent().is_some_and(|folder| folder.ends_with("dns")), operations }
}
