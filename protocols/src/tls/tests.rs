use super::*;

/// A client's first record, as OpenSSL makes it, with a name.
pub fn client_hello(random: u8, name: &str) -> Vec<u8> {
    let list = [&[0], &(name.len() as u16).to_be_bytes()[..], name.as_bytes()].concat();
    let content = [&(list.len() as u16).to_be_bytes()[..], &list].concat();
    let name = [&[0, 0], &(content.len() as u16).to_be_bytes()[..], &content].concat();
    let versions = [0, 43, 0, 5, 4, 3, 4, 3, 3];
    let all = [&versions[..], &name].concat();
    let head = [&[3, 3], &[random; 32][..], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    record(1, &[&head[..], &(all.len() as u16).to_be_bytes(), &all].concat())
}

fn server_hello(version: Option<[u8; 2]>) -> Vec<u8> {
    let all: Vec<u8> = version.map_or(Vec::new(), |v| vec![0, 43, 0, 2, v[0], v[1]]);
    let head = [&[3, 3], &[9; 32][..], &[0, 0x13, 1, 0]].concat();
    record(2, &[&head[..], &(all.len() as u16).to_be_bytes(), &all].concat())
}

fn record(kind: u8, message: &[u8]) -> Vec<u8> {
    let body = [&[kind, 0], &(message.len() as u16).to_be_bytes()[..], message].concat();
    [&[22, 3, 1], &(body.len() as u16).to_be_bytes()[..], &body].concat()
}

fn said(parser: &mut Tls, direction: Direction, bytes: &[u8]) -> Vec<Secured> {
    let mut out = Vec::new();
    assert_eq!(parser.data(direction, bytes, &Mark::default(), &mut out), Progress::Continue);
    let secured = |o| if let Output::Secured(s) = o { Some(*s) } else { None };
    out.into_iter().filter_map(secured).collect()
}

#[test]
fn the_hellos_say_session_name_and_version_however_they_are_cut() {
    let (client, server) = (client_hello(7, "shop.example"), server_hello(Some([3, 4])));
    for piece in [1, 3, 5, 6, 100, 1000] {
        let mut parser = Tls::default();
        let first: Vec<_> = client.chunks(piece).flat_map(|b| said(&mut parser, Direction::Request, b)).collect();
        let name = Some("shop.example".into());
        let known = Secured { random: [7; 32], server_name: name, version: None };
        assert_eq!(first.as_slice(), std::slice::from_ref(&known), "pieces of {piece}");
        let then: Vec<_> = server.chunks(piece).flat_map(|b| said(&mut parser, Direction::Response, b)).collect();
        assert_eq!(then, [Secured { version: Some("1.3"), ..known }]);
        assert_eq!(parser.buffered(), 0);
    }
}

#[test]
fn a_server_that_names_no_version_means_the_old_field() {
    let mut parser = Tls::default();
    said(&mut parser, Direction::Request, &client_hello(7, "a"));
    assert_eq!(said(&mut parser, Direction::Response, &server_hello(None))[0].version, Some("1.2"));
}

#[test]
fn a_hello_is_known_by_its_beginning_and_each_prefix_of_that_needs_more() {
    for (hello, direction) in [(client_hello(1, "a"), Direction::Request), (server_hello(None), Direction::Response)] {
        for len in 0..10 {
            assert_eq!(detect(&hello[..len]), Detection::NeedMore, "{len}");
        }
        for len in 10..hello.len() {
            assert_eq!(detect(&hello[..len]), Detection::Match(direction), "{len}");
        }
    }
}

#[test]
fn records_in_the_middle_of_a_connection_are_known_when_they_fit_together() {
    let one = [&[23, 3, 3, 0, 4][..], &[0xaa; 4]].concat();
    assert_eq!(detect(&one[..6]), Detection::NeedMore);
    assert_eq!(detect(&one), Detection::Match(Direction::Request));
    assert_eq!(detect(&[&one[..], &one[..3]].concat()), Detection::NeedMore);
    assert_eq!(detect(&[&one[..], &one].concat()), Detection::Match(Direction::Request));
    assert_eq!(detect(&[&one[..], b"GET / HTTP"].concat()), Detection::No);
}

#[test]
fn what_is_no_record_is_none() {
    for bytes in
        [&b"GET / HTTP/1.1\r\n"[..], &[22, 3, 1, 0, 5, 3, 0, 0, 1, 3], &[22, 2, 0, 0, 9, 1], &[23, 3, 3, 0, 0, 0]]
    {
        assert_eq!(detect(bytes), Detection::No, "{bytes:?}");
    }
}

#[test]
fn a_name_that_is_none_is_left_out() {
    for name in ["a\u{7f}", "a b", "http://x", ""] {
        let mut parser = Tls::default();
        let said = said(&mut parser, Direction::Request, &client_hello(7, name));
        assert_eq!(said[0].server_name, None, "{name:?}");
    }
}

#[test]
fn behind_a_gap_nothing_is_made_up() {
    let hello = client_hello(7, "a");
    let mut parser = Tls::default();
    assert_eq!(said(&mut parser, Direction::Request, &hello[..20]), []);
    parser.gap(Direction::Request, 5, &Mark::default(), &mut Vec::new());
    assert_eq!(said(&mut parser, Direction::Request, &hello[25..]), []);
}

/// What passed which way, in order.
type Conversation = Vec<(Direction, Vec<u8>)>;

/// What real programs said (`captures/tls`), by file.
fn captures() -> Vec<(String, Conversation)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/tls");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let operation = |o: &serde_json::Value| {
            let direction = match o[0].as_str()? {
                "request" => Direction::Request,
                "response" => Direction::Response,
                _ => return None,
            };
            Some((direction, o[1].as_str()?.chars().map(|c| c as u32 as u8).collect()))
        };
        let operations = json["operations"].as_array().unwrap().iter().filter_map(operation).collect();
        found.push((path.file_stem().unwrap().to_string_lossy().into_owned(), operations));
    }
    found
}

#[test]
fn of_real_programs_session_name_and_version_are_known() {
    let all = captures();
    assert!(all.len() >= 2);
    for (name, operations) in all {
        for piece in [1, 7, 100_000] {
            let mut parser = Tls::default();
            let mut known = Vec::new();
            for (direction, bytes) in &operations {
                bytes.chunks(piece).for_each(|bytes| known.extend(said(&mut parser, *direction, bytes)));
            }
            let [first, last] = &known[..] else { panic!("{name}: {known:?}") };
            assert_eq!(first.random, last.random);
            assert_eq!(last.server_name.as_deref(), Some("shop.example"), "{name}");
            assert!(last.version.is_some_and(|version| name.ends_with(version)), "{name}: {last:?}");
        }
        let (first, ..) = &operations[0];
        assert_eq!(detect(&operations[0].1), Detection::Match(*first), "{name}");
    }
}
