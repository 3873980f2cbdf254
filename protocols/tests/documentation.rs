//! `docs/protocols.md` says what the registry says, and names every attribute that real exchanges carry.

use std::collections::BTreeSet;
use std::path::Path;

use wirespan_protocols::exchange::{Mark, Output};
use wirespan_protocols::registry::{DATAGRAM_PROTOCOLS, PROTOCOLS, Protocol};
use wirespan_protocols::{Direction, End, Progress, Role, Settings, pages};

fn protocols() -> impl Iterator<Item = &'static Protocol> {
    PROTOCOLS.iter().chain(DATAGRAM_PROTOCOLS)
}

/// Folders of `captures/` whose conversations a protocol reads.
fn folders(protocol: &str) -> Vec<&str> {
    match protocol {
        "http" => vec!["http1"],
        "redis" => vec!["redis", "celery"],
        other => vec![other],
    }
}

fn operations(path: &Path) -> Vec<(String, String)> {
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let operations = json["operations"].as_array().unwrap().iter();
    operations.map(|o| (o[0].as_str().unwrap().to_owned(), o[1].as_str().unwrap().to_owned())).collect()
}

/// Names of all attributes of a conversation's exchanges.
fn attributes(protocol: &Protocol, path: &Path, settings: Settings) -> BTreeSet<String> {
    let mut parser = (protocol.parser)(settings);
    let (mut out, mut mark, mut positions) = (Vec::new(), Mark::default(), [0u64; 2]);
    for (what, text) in operations(path) {
        mark.time += 1000;
        let direction = if what == "request" || text == "request" { Direction::Request } else { Direction::Response };
        if what == "end" {
            parser.end(direction, End::Finished, &mark, &mut out);
            continue;
        }
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
        (mark.position, mark.opposite) = (positions[direction as usize], positions[1 - direction as usize]);
        positions[direction as usize] += bytes.len() as u64;
        if parser.data(direction, &bytes, &mark, &mut out) != Progress::Continue {
            break;
        }
    }
    parser.end(Direction::Response, End::Closed, &mark, &mut out);
    let exchanges = out.into_iter().filter_map(|o| if let Output::Finished(e) = o { Some(e) } else { None });
    exchanges.flat_map(|e| e.attributes).map(|a| a.key.into_owned()).collect()
}

#[test]
fn the_documentation_says_what_the_registry_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocols.md");
    let made = pages::document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(
        written == made,
        "{path} is not what protocols/src/**/doc.md say; run: UPDATE_DOCS=1 cargo test -p wirespan-protocols documentation"
    );
}

#[test]
fn every_protocol_of_the_registry_has_a_chapter_of_its_own_in_the_documentation() {
    for protocol in protocols() {
        let own = protocol.pages.iter().find(|page| pages::heading(page) == protocol.name);
        let page = own.unwrap_or_else(|| panic!("{}: no chapter of that name", protocol.name));
        assert!(page.lines().count() > 8, "{}: hardly a word", protocol.name);
    }
}

#[test]
fn every_attribute_of_a_recorded_exchange_is_in_the_documentation_of_its_protocol() {
    // (TLS itself has no exchanges: what is inside has.)
    for protocol in protocols().filter(|protocol| protocol.name != "tls") {
        let mut found = BTreeSet::new();
        for folder in folders(protocol.name) {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(folder);
            let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            for path in paths.filter(|path| path.extension().is_some_and(|e| e == "json")) {
                for role in [Role::Client, Role::Server] {
                    found.extend(attributes(protocol, &path, Settings::of(role)));
                    let all = Settings { keep_query_values: true, keep_query_text: true, ..Settings::of(role) };
                    found.extend(attributes(protocol, &path, all));
                }
            }
        }
        assert!(!found.is_empty(), "{}: no capture has an exchange", protocol.name);
        let named = |key: &&String| protocol.pages.iter().any(|page| page.contains(&format!("`{key}`")));
        let missing: Vec<_> = found.iter().filter(|key| !named(key)).collect();
        assert!(missing.is_empty(), "{}: its doc.md does not name {missing:?}", protocol.name);
    }
}
