//! What is told of processes to whoever asks which there are.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use wirespan_protocols::Role;
pub use wirespan_view::inventory::{Connections, Inventory, Links, Row};

use crate::discovery::{Process, Selection};
use crate::tls::Why;

/// A row for a process.
pub(crate) fn row(
    inventory: &Inventory,
    process: &Process,
    selection: &Selection,
    connections: Vec<Connections>,
) -> Row {
    let resource = &process.resource;
    let text = |key: &str| resource.get(key).unwrap_or_default().to_owned();
    Row {
        pid: process.tgid,
        parent_pid: process.parent,
        name: resource.service_name().to_owned(),
        named_by: process.named_by.name().to_owned(),
        executable: [text("process.executable.path"), text("process.executable.name")]
            .into_iter()
            .find(|path| !path.is_empty())
            .unwrap_or_default(),
        language: process.program.language.map(|language| language.name().to_owned()),
        language_version: process.program.version.clone(),
        traced: process.is_traced(),
        reason: selection.explain(process.reason()),
        connections,
        seen: process.was_seen(),
        linking: inventory.links(process.tgid),
    }
}

/// Counts connections that are alike, by process.
pub(crate) fn by_process(
    census: impl Iterator<Item = (u32, Option<(&'static str, Role)>, Option<Why>)>,
) -> FxHashMap<u32, Vec<Connections>> {
    let mut counts = BTreeMap::<_, u32>::new();
    for (tgid, spoken, why) in census {
        let spoken = spoken.map(|(protocol, role)| (protocol, if role == Role::Client { "client" } else { "server" }));
        *counts.entry((tgid, spoken, why)).or_default() += 1;
    }
    let mut all: FxHashMap<u32, Vec<Connections>> = FxHashMap::default();
    for ((tgid, spoken, why), open) in counts {
        let (protocol, role) = spoken.map(|(p, r)| (p.to_owned(), r.to_owned())).unzip();
        let unread = why.map(|why| why.name().to_owned());
        all.entry(tgid).or_default().push(Connections { protocol, role, unread, open });
    }
    all
}
