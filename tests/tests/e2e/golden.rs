//! Conversations of real programs (`protocols/captures`), cut short, altered, glued and cut anew, over real sockets; and
//! bytes that made detection call itself for ever, sent to real servers. The agent lives, and a good request afterwards is
//! traced.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use wirespan_tests::curl;
use wirespan_tests::expect::Expected;
use wirespan_tests::http;
use wirespan_tests::raw::Client;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::gunicorn::{Gunicorn, Worker};
use wirespan_tests::services::node::Node;
use wirespan_tests::services::python::Python;

/// Most bytes written at once, so that a socket's buffer takes them and one thread can be both ends.
const WRITE: usize = 16 * 1024;
/// Most bytes of one conversation.
const MOST: usize = 256 * 1024;
/// When no further round is begun any more, after the first.
const TIME: Duration = Duration::from_secs(15);

/// Which way (true: to the server) and what.
type Said = Vec<(bool, Vec<u8>)>;

/// Every committed conversation over streams, by name.
fn captures() -> Vec<(String, Said)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocols/captures");
    let mut found = Vec::new();
    for folder in ["amqp", "fastcgi", "http1", "http2", "memcached", "mysql", "postgresql", "redis", "scgi", "uwsgi"] {
        for file in std::fs::read_dir(root.join(folder)).expect("the captures are there") {
            let path = file.expect("a file").path();
            if path.extension().is_some_and(|ext| ext == "json") {
                let text = std::fs::read(&path).expect("a capture");
                let capture: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
                found.push((path.file_stem().expect("a name").to_string_lossy().into_owned(), said(&capture)));
            }
        }
    }
    assert!(found.len() > 60, "{} captures", found.len());
    found.sort();
    found
}

fn said(capture: &serde_json::Value) -> Said {
    let said = |operation: &serde_json::Value| {
        let to_server = match operation[0].as_str()? {
            "request" => true,
            "response" => false,
            _ => return None,
        };
        Some((to_server, operation[1].as_str()?.chars().map(|c| c as u32 as u8).collect()))
    };
    capture["operations"].as_array().expect("a list").iter().filter_map(said).collect()
}

/// Chance that is the same on each run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % n.max(1)
    }
}

/// Ways to say something otherwise than it was said.
#[derive(Clone, Copy, Debug)]
enum Way {
    AsItWas,
    CutShort,
    Altered,
    Glued,
    CutAnew,
    OtherWayRound,
}

const WAYS: [Way; 6] = [Way::AsItWas, Way::CutShort, Way::Altered, Way::Glued, Way::CutAnew, Way::OtherWayRound];

fn otherwise(way: Way, said: &Said, another: &Said, chance: &mut Chance) -> Said {
    let mut said = said.clone();
    match way {
        Way::AsItWas => {}
        Way::CutShort => {
            said.truncate(1 + chance.below(said.len()));
            let last = said.last_mut().expect("one is left");
            last.1.truncate(1 + chance.below(last.1.len()));
        }
        Way::Altered => {
            for _ in 0..=chance.below(8) {
                let at = chance.below(said.len());
                let bytes = &mut said[at].1;
                let at = chance.below(bytes.len());
                bytes[at] ^= 1 << chance.below(8);
            }
        }
        // The end of one is the beginning of another, in one write.
        Way::Glued => {
            let mut another = another.clone();
            said.truncate(1 + chance.below(said.len()));
            let last = said.last_mut().expect("one is left");
            last.1.extend(another.remove(0).1);
            said.extend(another);
        }
        Way::CutAnew => {
            let mut cut = Vec::new();
            for (to_server, bytes) in said {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(1 + chance.below(rest.len().min(700)));
                    cut.push((to_server, piece.to_vec()));
                    rest = after;
                }
            }
            return cut;
        }
        Way::OtherWayRound => said.iter_mut().for_each(|(to_server, _)| *to_server = !*to_server),
    }
    said
}

/// A stream of bytes, whose both ends this test is.
trait Stream: std::io::Read + std::io::Write {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

fn pair(unix: bool) -> [Box<dyn Stream>; 2] {
    if unix {
        let (a, b) = UnixStream::pair().expect("a pair of sockets");
        return [Box::new(a), Box::new(b)];
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let (server, _) = listener.accept().expect("the other end");
    client.set_nodelay(true).expect("TCP_NODELAY");
    server.set_nodelay(true).expect("TCP_NODELAY");
    [Box::new(client), Box::new(server)]
}

/// Says it all, each byte being read before the next is written.
fn converse([mut client, mut server]: [Box<dyn Stream>; 2], said: &Said) {
    let (mut left, mut buffer) = (MOST, vec![0; WRITE]);
    for (to_server, bytes) in said {
        let (from, to) = if *to_server { (&mut client, &mut server) } else { (&mut server, &mut client) };
        for piece in bytes.chunks(WRITE) {
            from.write_all(piece).expect("the other end is there");
            to.read_exact(&mut buffer[..piece.len()]).expect("what was written arrives");
        }
        left = left.saturating_sub(bytes.len());
        if left == 0 {
            return;
        }
    }
}

#[test]
fn real_conversations_cut_glued_and_altered_harm_neither_the_agent_nor_other_connections() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let captures = captures();
    let (mut chance, begun) = (Chance(7), Instant::now());
    let (mut played, mut calm): (usize, Vec<Expected>) = (0, Vec::new());
    // (Each conversation once, however long that takes here; further rounds where there is time.)
    for round in (0..4).take_while(|round| *round == 0 || begun.elapsed() < TIME) {
        for (n, (name, said)) in captures.iter().enumerate() {
            // Every way has its turn with every capture in time, and each round with another.
            let way = WAYS[(n + round) % WAYS.len()];
            let another = &captures[chance.below(captures.len())].1;
            converse(pair((n + round) % 3 == 0), &otherwise(way, said, another, &mut chance));
            played += 1;
            if n % 25 == 0 {
                let url = faults.url(&format!("/calm-{}-{}", letter(round), letter(n / 25)));
                curl::get(&url, 200);
                calm.push(http::curl("faults", "GET", &url, 200));
            }
            assert!(scene.agent().is_running(), "{name} {way:?} ended the agent:\n{}", scene.agent().log());
        }
    }
    eprintln!("{played} conversations in {:?}", begun.elapsed());
    let url = faults.url("/afterwards");
    curl::get(&url, 200);
    calm.push(http::curl("faults", "GET", &url, 200));
    scene.expect(&calm);
    let log = scene.agent().log();
    assert!(!log.contains("panicked") && !log.contains("could not be read"), "{log}");
}

fn letter(n: usize) -> char {
    char::from(b'a' + n as u8)
}

/// Bytes that one protocol may know, which servers of HTTP answer with 400.
const HALF_KNOWN: [&[u8]; 6] = [
    b"J\0\0\0\n8.0",
    b"J\0\0\0\n8.0.30\r\n\r\n",
    b"*1\r\n$4\r\n",
    b"\0\0\0\x04\r\n\r\n",
    b"P\0\0\0\x37\0SET\r\n\r\n",
    b"1\r\n\r\n",
];

#[test]
fn what_servers_answer_with_400_ends_no_agent_and_the_next_request_is_traced() {
    let mut scene = Scene::new();
    let node = Node::faults(&scene);
    let gunicorn = Gunicorn::start(&scene, Worker::Sync, "");
    let python = Python::http_server(&scene);
    scene.trace();
    for port in [node.port, gunicorn.port, python.port] {
        let mut answered = 0;
        for bytes in HALF_KNOWN {
            let mut client = Client::to_port(port);
            client.try_send(bytes);
            client.half_close();
            // (Python's server answers what is no version of HTTP in its oldest one, which has no head.)
            answered += usize::from(!client.drain().is_empty());
            assert!(scene.agent().is_running(), "{bytes:?} to port {port}:\n{}", scene.agent().log());
        }
        assert!(answered > 0, "the server on port {port} answers");
    }
    curl::get(&node.url("/fine"), 200);
    curl::get(&gunicorn.url("/fine"), 404);
    curl::get(&python.url("/hello.txt"), 200);
    // Three requests, each seen by curl and by its server.
    let spans = scene.finish(6);
    let fine = |s: &&wirespan_tests::span::Span| s.name.starts_with("GET");
    assert!(spans.iter().filter(fine).count() >= 6, "{spans:?}");
}
