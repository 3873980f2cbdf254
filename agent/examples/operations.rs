//! What comes of requests: reads spans as `wirespan --output json` writes them, names their operations anew, and says for each
//! service how many requests, paths and operations there are. `docs/naming.md` has figures of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use serde_json::Value as Json;
use wirespan_agent::operations::tree::Tree;
use wirespan_protocols::template::template;

#[derive(Default)]
struct Service {
    tree: Tree,
    paths: BTreeSet<String>,
    /// Operations in order, and whether they were refused.
    operations: Vec<(String, bool)>,
}

fn main() {
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let spans = std::io::stdin().lock().lines().map_while(Result::ok);
    for span in
        spans.filter_map(|line| serde_json::from_str::<Json>(&line).ok()).filter(|span| span["kind"] == "server")
    {
        let attributes = &span["attributes"];
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let (path, method) = (text(&attributes["url.path"]), text(&attributes["http.request.method"]));
        let accepted = attributes["http.response.status_code"].as_u64().is_some_and(|code| !(400..500).contains(&code));
        let service = services.entry(text(&span["resource"]["service.name"])).or_default();
        let plain = template(&path);
        let name = service.tree.learn(&plain, accepted).unwrap_or(plain);
        service.paths.insert(path);
        service.operations.push((format!("{method} {name}"), !accepted));
    }
    for (name, Service { paths, operations, .. }) in services {
        let answered: Vec<&str> =
            operations.iter().filter(|(_, refused)| !refused).map(|(name, _)| name.as_str()).collect();
        let distinct = |of: &[&str]| of.iter().collect::<BTreeSet<_>>().len();
        let all: BTreeSet<&String> = operations.iter().map(|(name, _)| name).collect();
        println!(
            "{name}: {} requests, {} paths, {} operations, {} of them answered, {} in the last quarter",
            operations.len(),
            paths.len(),
            all.len(),
            distinct(&answered),
            distinct(&answered[answered.len() * 3 / 4..]),
        );
    }
}
