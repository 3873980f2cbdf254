//! Conversations of any length: real ones again and again, in pieces, and hostile ones.

use std::path::Path;

use serde_json::Value;
use wirespan_protocols::Direction::{Request, Response};

use crate::Step;

/// Captures of each protocol of which every variant is made.
const IN_FULL: usize = 2;

/// A conversation without end.
pub struct Shape {
    pub name: String,
    /// What comes first.
    begin: Vec<Step>,
    /// What comes then, for each number.
    round: Box<dyn Fn(u32) -> Vec<Step>>,
    /// Each operation moves one byte.
    single: bool,
    /// All that the client says comes before all that the server does.
    batch: bool,
}

fn len(step: &Step) -> usize {
    if let Step::Bytes(_, bytes) = step { bytes.len() } else { 0 }
}

impl Shape {
    fn new(name: impl Into<String>, begin: Vec<Step>, round: impl Fn(u32) -> Vec<Step> + 'static) -> Self {
        Self { name: name.into(), begin, round: Box::new(round), single: false, batch: false }
    }

    fn single(self) -> Self {
        Self { single: true, name: format!("{}, byte by byte", self.name), ..self }
    }

    fn batch(self) -> Self {
        Self { batch: true, name: format!("{}, all at once", self.name), ..self }
    }

    /// The conversation until about `length` bytes were said.
    pub fn steps(&self, length: usize) -> Vec<Step> {
        let mut steps = self.begin.clone();
        let mut said: usize = steps.iter().map(len).sum();
        for n in 0.. {
            if said >= length {
                break;
            }
            let round = (self.round)(n);
            said += round.iter().map(len).sum::<usize>().max(1);
            steps.extend(round);
        }
        if self.batch {
            steps.sort_by_key(|step| matches!(step, Step::Bytes(Response, _) | Step::Gap(Response, _)));
        }
        if self.single {
            let apart = |step: Step| match step {
                Step::Bytes(direction, bytes) => bytes.into_iter().map(|b| Step::Bytes(direction, vec![b])).collect(),
                gap => vec![gap],
            };
            steps = steps.into_iter().flat_map(apart).collect();
        }
        steps
    }
}

/// What was recorded, by file.
fn captures(folder: &str) -> Vec<(String, Vec<Step>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("captures") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let json: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect("a text")).expect("JSON");
        let step = |operation: &Value| {
            let text = operation[1].as_str().expect("bytes");
            let bytes = || text.chars().map(|c| u8::try_from(c).expect("a byte")).collect();
            match operation[0].as_str() {
                Some("request") => Some(Step::Bytes(Request, bytes())),
                Some("response") => Some(Step::Bytes(Response, bytes())),
                _ => None,
            }
        };
        let steps: Vec<Step> = json["operations"].as_array().expect("operations").iter().filter_map(step).collect();
        found.push((path.file_stem().expect("a name").to_string_lossy().into_owned(), steps));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// Real conversations, whole, in part, in pieces, with what is missing.
fn recorded(name: &str, all: &[Step], in_full: bool) -> Vec<Shape> {
    let only = |wanted| all.iter().filter(|s| matches!(s, Step::Bytes(d, _) if *d == wanted)).cloned().collect();
    let (requests, responses): (Vec<Step>, Vec<Step>) = (only(Request), only(Response));
    let halves: Vec<Step> = all
        .iter()
        .flat_map(|step| {
            let Step::Bytes(direction, bytes) = step else { return vec![step.clone()] };
            let cut = bytes.len() / 2;
            vec![
                Step::Bytes(*direction, bytes[..cut.max(1)].to_vec()),
                Step::Gap(*direction, (bytes.len() - cut) as u64),
            ]
        })
        .collect();
    let again = |what: &str, steps: &[Step]| {
        let (steps, first) = (steps.to_vec(), steps.first().cloned().into_iter().collect());
        Shape::new(format!("{name}{what}"), first, move |_| steps.clone())
    };
    let mut shapes = vec![again("", all), again("", all).single(), again("", all).batch()];
    if !in_full {
        return shapes;
    }
    shapes.extend([
        again(" never answered", &requests),
        again(" never answered", &requests).single(),
        again(" never asked", &responses),
        again(" in halves", &halves),
    ]);
    // One message that goes on and on.
    for (direction, steps) in [(Request, &requests), (Response, &responses)] {
        let Some(Step::Bytes(_, bytes)) = steps.first().cloned() else { continue };
        for filler in [b'a', 0, b'\n'] {
            let begun = vec![Step::Bytes(direction, bytes[..bytes.len() / 2].to_vec())];
            let name = format!("half a message of {name} and {:?} ({direction:?})", filler as char);
            shapes.push(Shape::new(name, begun, move |_| vec![Step::Bytes(direction, vec![filler])]));
        }
    }
    shapes
}

/// All shapes for a protocol of the registry.
pub fn of(protocol: &str) -> Vec<Shape> {
    let folder = if protocol == "http" { "http1" } else { protocol };
    let mut shapes: Vec<Shape> = captures(folder)
        .iter()
        .filter(|(_, steps)| !steps.is_empty())
        .enumerate()
        .flat_map(|(n, (name, steps))| recorded(name, steps, n < IN_FULL))
        .collect();
    shapes.extend(match protocol {
        "http" => http1(),
        "http2" => http2(),
        "postgresql" => postgresql(),
        "mysql" => mysql(),
        "redis" => redis(),
        "memcached" => memcached(),
        "amqp" => amqp(),
        "tls" => tls(),
        "dns" => dns(),
        "fastcgi" => fastcgi(),
        "scgi" => scgi(),
        "uwsgi" => uwsgi(),
        other => panic!("no hostile conversations for {other}"),
    });
    shapes
}

fn ask(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(Request, bytes.as_ref().to_vec())
}

fn tell(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(Response, bytes.as_ref().to_vec())
}

fn tls() -> Vec<Shape> {
    // A handshake's record with a part of a message that is said to take 32 KiB.
    let begins = vec![ask([22, 3, 1, 0, 4, 1, 0, 0x7f, 0xff])];
    vec![
        Shape::new("a hello in records of one byte", begins.clone(), |_| vec![ask([22, 3, 1, 0, 1, 0])]),
        Shape::new("a record without end", begins, |n| vec![if n == 0 { ask([22, 3, 1, 0x40, 0]) } else { ask([0]) }]),
        Shape::new("encrypted records", vec![], |_| vec![ask([23, 3, 3, 0, 1, 0])]),
    ]
}

fn http1() -> Vec<Shape> {
    let get = || vec![ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n")];
    let post = |head: &str| vec![ask(format!("POST / HTTP/1.1\r\nHost: h\r\n{head}\r\n"))];
    vec![
        Shape::new("a target without end", vec![ask("GET /")], |_| vec![ask("a")]),
        Shape::new("a field without end", vec![ask("GET / HTTP/1.1\r\nA: ")], |_| vec![ask("a")]),
        Shape::new("fields without end", vec![ask("GET / HTTP/1.1\r\n")], |_| vec![ask("A:b\r\n")]),
        Shape::new("fields without end", vec![ask("GET / HTTP/1.1\r\n")], |_| vec![ask("A:b\r\n")]).single(),
        Shape::new("a reason without end", get(), |n| vec![tell(if n == 0 { "HTTP/1.1 200 " } else { "a" })]),
        Shape::new("chunks of a byte", post("Transfer-Encoding: chunked\r\n"), |_| vec![ask("1\r\na\r\n")]),
        Shape::new("chunks of a byte", post("Transfer-Encoding: chunked\r\n"), |_| vec![ask("1\r\na\r\n")]).single(),
        Shape::new("a chunk's extension", post("Transfer-Encoding: chunked\r\n"), |n| {
            vec![ask(if n == 0 { "1;" } else { "a" })]
        }),
        Shape::new("interim responses", get(), |_| vec![tell("HTTP/1.1 100 Continue\r\n\r\n")]),
        Shape::new("responses to nothing", vec![], |_| vec![tell("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]),
        Shape::new("pipelined", vec![], move |_| get()).batch(),
        Shape::new("gaps between requests", vec![], |_| vec![ask("GET / HTTP/1.1\r\n\r\n"), Step::Gap(Request, 10)]),
        Shape::new("empty lines", vec![], |_| vec![ask("\r\n")]).single(),
        Shape::new("queries without end", vec![], |_| {
            vec![ask("GET /?a&b&c=d&e=f&a&b&c=d HTTP/1.1\r\n\r\n"), tell("HTTP/1.1 204 N\r\n\r\n")]
        }),
    ]
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn http2() -> Vec<Shape> {
    let begin = || {
        let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
        vec![ask(preface), tell(frame(4, 0, 0, &[]))]
    };
    const GET: &[u8] = b"\x82\x86\x84\x41\x01h";
    let open = |n: u32| ask(frame(1, 5, 2 * n + 1, GET));
    vec![
        Shape::new("streams that never end", begin(), move |n| vec![open(n)]),
        Shape::new("streams that never end", begin(), move |n| vec![open(n)]).single(),
        Shape::new("streams that are reset", begin(), move |n| {
            vec![open(n), ask(frame(3, 0, 2 * n + 1, &[0, 0, 0, 8]))]
        }),
        Shape::new("streams that the server resets", begin(), move |n| {
            vec![open(n), tell(frame(3, 0, 2 * n + 1, &[0, 0, 0, 8]))]
        })
        .batch(),
        Shape::new("streams and gaps", begin(), move |n| vec![open(n), Step::Gap(Request, 30)]),
        Shape::new("streams and gaps in responses", begin(), move |n| vec![open(n), Step::Gap(Response, 30)]),
        Shape::new("streams that never end, once some may have ended unseen", begin(), move |n| match n {
            0 => vec![open(0), Step::Gap(Response, 30)],
            _ => vec![open(n)],
        }),
        Shape::new("streams and answers in halves", begin(), move |n| {
            vec![open(n), tell([&frame(1, 4, 2 * n + 1, b"\x88")[..], &[0]].concat()), Step::Gap(Response, 8)]
        }),
        Shape::new("empty data", begin(), move |n| if n == 0 { vec![open(0)] } else { vec![ask(frame(0, 0, 1, b""))] }),
        Shape::new("continuations", begin(), |n| match n {
            0 => vec![ask(frame(1, 0, 1, GET))],
            _ => vec![ask(frame(9, 0, 1, b"\0\x01a\x01b"))],
        }),
        Shape::new("empty continuations", begin(), |n| vec![ask(frame(if n == 0 { 1 } else { 9 }, 0, 1, b""))]),
        Shape::new("settings", begin(), |_| vec![ask(frame(4, 0, 0, &[0, 1, 0, 0, 16, 0]))]),
        Shape::new("pings", begin(), |_| vec![ask(frame(6, 0, 0, &[0; 8])), tell(frame(6, 1, 0, &[0; 8]))]),
        Shape::new("going away", begin(), move |n| {
            vec![open(n), tell(frame(7, 0, 0, &[0x7f, 255, 255, 255, 0, 0, 0, 0]))]
        }),
        Shape::new("fields that fill the table", begin(), |n| {
            let block = [GET, &[0x40, 4], &n.to_be_bytes().map(|b| b'a' + (b & 15)), &[1, b'b']].concat();
            vec![ask(frame(1, 5, 2 * n + 1, &block)), tell(frame(1, 5, 2 * n + 1, b"\x88"))]
        }),
        Shape::new("unknown frames", begin(), |n| vec![ask(frame(200, 0, n, b"x"))]),
    ]
}

fn message(kind: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

fn postgresql() -> Vec<Shape> {
    let parse = |n: u32| message(b'P', format!("s{n}\0SELECT {n}\0\0\0"));
    let bind = |n: u32| message(b'B', format!("p{n}\0s{n}\0\0\0\0\0\0\0"));
    let execute = |n: u32| message(b'E', format!("p{n}\0\0\0\0\0"));
    let query = || message(b'Q', "SELECT 1 FROM t\0");
    let ready = || message(b'Z', "I");
    vec![
        Shape::new("statements that are never run", vec![], move |n| vec![ask(parse(n))]),
        Shape::new("portals", vec![], move |n| vec![ask([parse(n), bind(n)].concat())]),
        Shape::new("runs without a sync", vec![], move |n| vec![ask([parse(n), bind(n), execute(n)].concat())]),
        Shape::new("syncs", vec![ask(query())], |_| vec![ask(message(b'S', ""))]),
        Shape::new("queries", vec![], move |_| {
            vec![ask(query()), tell([message(b'C', "SELECT 1\0"), ready()].concat())]
        })
        .batch(),
        Shape::new("errors in a pipeline", vec![], move |n| {
            vec![ask([parse(n), bind(n), execute(n)].concat()), tell(message(b'E', "SERROR\0C42601\0\0"))]
        })
        .batch(),
        Shape::new("rows", vec![ask(query())], |_| vec![tell(message(b'D', b"\0\x01\0\0\0\x01a"))]),
        Shape::new("rows", vec![ask(query())], |_| vec![tell(message(b'D', b"\0\x01\0\0\0\x01a"))]).single(),
        Shape::new("notices", vec![ask(query())], |_| vec![tell(message(b'N', "SWARNING\0C01000\0\0"))]),
        Shape::new("parameters", vec![], |n| vec![tell(message(b'S', format!("k{n}\0v\0")))]),
        Shape::new("syncs before rows", vec![ask(query())], |n| match n {
            0..2000 => vec![ask(message(b'S', ""))],
            _ => vec![tell(message(b'G', b"\0\0\0"))],
        })
        .batch(),
        Shape::new("closes", vec![], |n| vec![ask(message(b'C', format!("Ss{n}\0")))]),
        Shape::new("a query without end", vec![ask(b"Q\0\x0f\0\0SELECT '")], |_| vec![ask("a")]),
        Shape::new("gaps", vec![], move |n| vec![ask(parse(n)), Step::Gap(Request, 5)]),
        Shape::new("a batch", vec![ask(parse(1))], move |_| vec![ask([bind(1), execute(1)].concat())]),
        Shape::new("a batch", vec![ask(parse(1))], move |_| vec![ask([bind(1), execute(1)].concat())]).single(),
        Shape::new("batches whose rest is hidden", vec![ask(parse(1))], move |_| {
            let done = [message(b'2', ""), message(b'C', "INSERT 0 1\0"), message(b'Z', "I")].concat();
            vec![ask([bind(1), execute(1), bind(1), execute(1)].concat()), Step::Gap(Request, 50), tell(done)]
        }),
        Shape::new("rows that fail in a batch", vec![ask([parse(1), bind(1), execute(1)].concat())], move |_| {
            vec![ask([bind(1), execute(1)].concat()), tell(message(b'E', "SERROR\0C42601\0\0"))]
        }),
    ]
}

fn mysql() -> Vec<Shape> {
    let packet = |sequence: u8, body: &[u8]| [&(body.len() as u32).to_le_bytes()[..3], &[sequence], body].concat();
    let query = move || packet(0, b"\x03SELECT a FROM t WHERE b = 'c'");
    let prepare = move |n: u32| packet(0, format!("\x16SELECT {n}").as_bytes());
    vec![
        Shape::new("queries", vec![], move |_| vec![ask(query()), tell(packet(1, &[0, 0, 0, 2, 0, 0, 0]))]).batch(),
        Shape::new("queries never answered", vec![], move |_| vec![ask(query())]),
        Shape::new("statements", vec![], move |n| {
            let answer = [&[0][..], &n.to_le_bytes(), &[0, 0, 0, 0, 0, 0, 0]].concat();
            vec![ask(prepare(n)), tell(packet(1, &answer))]
        }),
        Shape::new("columns", vec![ask(query()), tell(packet(1, &[0xfc, 0xff, 0xff]))], move |n| {
            vec![tell(packet((n as u8).wrapping_add(2), b"\x03def\0\0\0\x01a\0\x0c"))]
        }),
        Shape::new("rows", vec![ask(query()), tell(packet(1, &[1])), tell(packet(2, b"\x03def"))], move |n| {
            vec![tell(packet((n as u8).wrapping_add(3), b"\x01a"))]
        }),
        Shape::new("results", vec![ask(query())], move |_| vec![tell(packet(1, &[0, 0, 0, 10, 0, 0, 0]))]),
        Shape::new("empty packets", vec![ask(query())], move |n| vec![ask(packet(n as u8, b""))]),
        Shape::new("closes", vec![], move |n| vec![ask(packet(0, &[&[0x19][..], &n.to_le_bytes()].concat()))]),
        Shape::new("a query without end", vec![ask(b"\xff\xff\x0f\0\x03SELECT '")], |_| vec![ask("a")]),
    ]
}

fn redis() -> Vec<Shape> {
    let get = || "*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
    vec![
        Shape::new("commands", vec![], move |_| vec![ask(get()), tell("$1\r\nb\r\n")]).batch(),
        Shape::new("commands never answered", vec![], move |_| vec![ask(get())]).single(),
        Shape::new("arguments", vec![ask("*1000000\r\n$4\r\nMSET\r\n")], |_| vec![ask("$1\r\na\r\n")]),
        Shape::new("arguments", vec![ask("*1000000\r\n$4\r\nMSET\r\n")], |_| vec![ask("$1\r\na\r\n")]).single(),
        Shape::new("a line without end", vec![ask(get()), tell("+")], |_| vec![tell("a")]),
        Shape::new("a number without end", vec![ask(get()), tell(":")], |_| vec![tell("1")]),
        Shape::new("nested replies", vec![ask(get())], |_| vec![tell("*1\r\n")]),
        Shape::new("elements", vec![ask(get()), tell("*1000000\r\n")], |_| vec![tell(":1\r\n")]),
        Shape::new("channels", vec![ask("*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n")], |_| {
            vec![tell("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n")]
        }),
        Shape::new("subscriptions", vec![], |_| vec![ask("*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n")]),
        Shape::new("transactions", vec![ask("*1\r\n$5\r\nMULTI\r\n"), tell("+OK\r\n")], move |_| {
            vec![ask(get()), tell("+QUEUED\r\n")]
        }),
        Shape::new("pipelines", vec![], move |_| vec![ask(get().repeat(40)), tell("-ERR a\r\n".repeat(40))]),
        Shape::new("a pipeline", vec![], move |_| vec![ask(get())]).batch(),
        Shape::new("pipelines whose rest is hidden", vec![], move |_| {
            vec![ask(get().repeat(40)), Step::Gap(Request, 9), tell("+OK\r\n".repeat(41))]
        }),
        Shape::new("databases in a transaction", vec![ask("*1\r\n$5\r\nMULTI\r\n")], |n| {
            let index = n.to_string();
            vec![ask(format!("*2\r\n$6\r\nSELECT\r\n${}\r\n{index}\r\n", index.len())), tell("+QUEUED\r\n")]
        }),
        Shape::new("transactions that end", vec![], move |_| {
            vec![
                ask(["*1\r\n$5\r\nMULTI\r\n", get(), "*1\r\n$4\r\nEXEC\r\n"].concat()),
                tell("+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"),
            ]
        }),
        Shape::new("pushes", vec![ask(get())], |_| vec![tell(">2\r\n$7\r\nmessage\r\n$1\r\na\r\n")]),
        Shape::new("inline commands", vec![ask(get()), tell("$1\r\nb\r\n")], |_| vec![ask("GET a\r\n")]),
        Shape::new("an inline command without end", vec![ask(get()), tell("$1\r\nb\r\n")], |_| vec![ask("a")]),
        Shape::new("tasks of Celery", vec![], |_| {
            vec![
                ask("*3\r\n$5\r\nLPUSH\r\n$6\r\ncelery\r\n$31\r\n{\"body\":\"\",\"headers\":{\"a\":\"b\"}}\r\n"),
                tell(":1\r\n"),
            ]
        })
        .batch(),
    ]
}

fn memcached() -> Vec<Shape> {
    let binary = |magic: u8, opcode: u8, opaque: u32| {
        let mut head = [0; 24];
        (head[0], head[1]) = (magic, opcode);
        head[12..16].copy_from_slice(&opaque.to_be_bytes());
        head
    };
    vec![
        Shape::new("commands", vec![], |_| vec![ask("get a\r\n"), tell("END\r\n")]).batch(),
        Shape::new("commands never answered", vec![], |_| vec![ask("get a\r\n")]).single(),
        Shape::new("keys without end", vec![ask("get a\r\n"), tell("END\r\n"), ask("get")], |_| vec![ask(" a")]),
        Shape::new("a line without end", vec![ask("get a\r\n"), tell("VALUE")], |_| vec![tell("a")]),
        Shape::new("values", vec![ask("get a\r\n")], |_| vec![tell("VALUE a 0 1\r\nb\r\n")]),
        Shape::new("values", vec![ask("get a\r\n")], |_| vec![tell("VALUE a 0 1\r\nb\r\n")]).single(),
        Shape::new("quiet commands", vec![], |_| vec![ask("mg a q v\r\n")]),
        Shape::new("statistics", vec![ask("stats\r\n")], |_| vec![tell("STAT a b\r\n")]),
        Shape::new("binary", vec![], move |n| vec![ask(binary(0x80, 0, n)), tell(binary(0x81, 0, n))]).batch(),
        Shape::new("quiet binary", vec![], move |n| vec![ask(binary(0x80, 9, n))]),
        Shape::new("quiet binary, others answered", vec![], move |n| {
            vec![ask(binary(0x80, 9, n)), tell(binary(0x81, 9, u32::MAX))]
        })
        .batch(),
        Shape::new("quiet binary, the last answered", vec![], move |n| {
            vec![ask(binary(0x80, 9, n)), tell(binary(0x81, 9, n))]
        })
        .batch(),
    ]
}

fn amqp() -> Vec<Shape> {
    let frame = |kind: u8, channel: u16, payload: &[u8]| {
        [&[kind][..], &channel.to_be_bytes(), &(payload.len() as u32).to_be_bytes(), payload, &[0xce]].concat()
    };
    let begin = || vec![ask(b"AMQP\0\0\x09\x01")];
    // channel.open, basic.publish to "" with key "q", its header and body.
    let open = move |channel: u16| frame(1, channel, &[0, 20, 0, 10, 0]);
    let publish = move |channel: u16| {
        let header = [&[0, 60, 0, 0][..], &1u64.to_be_bytes(), &[0, 0]].concat();
        [frame(1, channel, &[0, 60, 0, 40, 0, 0, 0, 1, b'q', 0]), frame(2, channel, &header), frame(3, channel, b"x")]
            .concat()
    };
    let deliver = move |tag: u64| {
        let header = [&[0, 60, 0, 0][..], &1u64.to_be_bytes(), &[0, 0]].concat();
        let method = [&[0, 60, 0, 60, 1, b'c'][..], &tag.to_be_bytes(), &[0, 0, 1, b'q']].concat();
        [frame(1, 1, &method), frame(2, 1, &header), frame(3, 1, b"x")].concat()
    };
    let consume = move || {
        let method = [&[0, 60, 0, 20, 0, 0, 1, b'q', 1, b'c', 0][..], &[0, 0, 0, 0]].concat();
        vec![ask(b"AMQP\0\0\x09\x01"), ask([open(1), frame(1, 1, &method)].concat())]
    };
    let ack = move |tag: u64, all: u8| frame(1, 1, &[&[0, 60, 0, 80][..], &tag.to_be_bytes(), &[all]].concat());
    let confirm = move || [open(1), frame(1, 1, &[0, 85, 0, 10, 0])].concat();
    vec![
        Shape::new("channels", begin(), move |n| vec![ask(open(n as u16))]),
        Shape::new("messages", begin(), move |_| vec![ask(publish(1))]),
        Shape::new("messages", begin(), move |_| vec![ask(publish(1))]).single(),
        Shape::new("unconfirmed messages", vec![begin().remove(0), ask(confirm())], move |_| vec![ask(publish(1))]),
        Shape::new("messages confirmed late", vec![begin().remove(0), ask(confirm())], move |n| {
            vec![ask(publish(1)), tell(ack(u64::from(n) + 1, 0))]
        })
        .batch(),
        Shape::new("messages confirmed in reverse", vec![begin().remove(0), ask(confirm())], move |n| {
            vec![ask(publish(1)), tell(ack(u64::from(2000 - n % 2000), 0))]
        })
        .batch(),
        Shape::new("unsettled deliveries", consume(), move |n| vec![tell(deliver(u64::from(n) + 1))]),
        Shape::new("settled deliveries", consume(), move |n| {
            vec![tell(deliver(u64::from(n) + 1)), ask(ack(u64::from(n) + 1, 0))]
        }),
        Shape::new("acknowledgements of nothing", consume(), move |n| vec![ask(ack(u64::from(n), 1))]),
        Shape::new("heartbeats", begin(), move |_| vec![ask(frame(8, 0, b"")), tell(frame(8, 0, b""))]),
        Shape::new("empty bodies", begin(), move |_| vec![ask(frame(3, 1, b""))]),
        Shape::new("gaps", begin(), move |_| vec![ask(publish(1)), Step::Gap(Request, 7)]),
        Shape::new("consumers", begin(), move |n| {
            let tag = n.to_be_bytes().map(|b| b'a' + (b & 15));
            vec![ask(frame(1, 1, &[&[0, 60, 0, 20, 0, 0, 1, b'q', 4][..], &tag, &[0, 0, 0, 0, 0]].concat()))]
        }),
    ]
}

fn dns() -> Vec<Shape> {
    let message = |id: u32, flags: u8| {
        let id = (id as u16).to_be_bytes();
        [&id[..], &[flags, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1]].concat()
    };
    vec![
        Shape::new("queries never answered", vec![], move |n| vec![ask(message(n, 1))]),
        Shape::new("queries", vec![], move |n| vec![ask(message(n, 1)), tell(message(n, 0x81))]).batch(),
        Shape::new("answers to nothing", vec![], move |n| vec![tell(message(n, 0x81))]),
        Shape::new("one query again and again", vec![], move |_| vec![ask(message(1, 1))]),
    ]
}

fn fastcgi() -> Vec<Shape> {
    let record = |kind: u8, number: u32, content: &[u8]| {
        let [n1, n0] = (number as u16 | 1).to_be_bytes();
        let [l1, l0] = (content.len() as u16).to_be_bytes();
        [&[1, kind, n1, n0, l1, l0, 0, 0], content].concat()
    };
    let begin = move |n| record(1, n, &[0, 1, 1, 0, 0, 0, 0, 0]);
    let asked = move |n| {
        let params = b"\x0e\x03REQUEST_METHODGET\x0b\x01REQUEST_URI/";
        ask([begin(n), record(4, n, params), record(4, n, b"")].concat())
    };
    vec![
        Shape::new("requests that never end", vec![], move |n| vec![asked(2 * n)]),
        Shape::new("requests that never end", vec![], move |n| vec![asked(2 * n)]).single(),
        Shape::new("requests that only begin", vec![], move |n| vec![ask(begin(2 * n))]),
        Shape::new("variables without end", vec![ask(begin(1))], move |_| vec![ask(record(4, 1, b"\x01\x01ab"))]),
        Shape::new("empty names", vec![ask(begin(1))], move |_| vec![ask(record(4, 1, &[0; 64]))]),
        Shape::new("a head without end", vec![asked(1)], move |_| vec![tell(record(6, 1, b"a\n"))]),
        Shape::new("a line without end", vec![asked(1)], move |_| vec![tell(record(6, 1, b"a"))]),
        Shape::new("complaints", vec![asked(1)], move |_| vec![tell(record(7, 1, b"'no'"))]),
        Shape::new("answers to nothing", vec![asked(1)], move |n| vec![tell(record(6, 2 * n, b"a"))]),
        Shape::new("requests and gaps", vec![], move |n| vec![asked(2 * n), Step::Gap(Request, 30)]),
        Shape::new("requests and gaps in answers", vec![], move |n| vec![asked(2 * n), Step::Gap(Response, 30)]),
    ]
}

fn scgi() -> Vec<Shape> {
    let asked = || ask("17:CONTENT_LENGTH\x000\0,");
    vec![
        Shape::new("digits without end", vec![], |_| vec![ask("1")]),
        Shape::new("variables without end", vec![ask("99999:CONTENT_LENGTH\x000\0")], |_| vec![ask("A\0")]),
        Shape::new("a body without end", vec![asked()], |_| vec![ask("a")]),
        Shape::new("a head without end", vec![asked()], |_| vec![tell("a: b\n")]),
        Shape::new("requests", vec![], move |_| vec![asked(), tell("Content-Length: 0\r\n\r\n")]),
        Shape::new("requests all at once", vec![], move |_| vec![asked(), tell("Content-Length: 0\r\n\r\n")]).batch(),
    ]
}

fn uwsgi() -> Vec<Shape> {
    let asked = || ask(b"\0\x13\0\0\x0c\0QUERY_STRING\x03\0a=b");
    vec![
        Shape::new("variables without end", vec![ask(b"\0\xff\xff\0")], |_| vec![ask(b"\x01\0A\0\0")]),
        Shape::new("empty variables", vec![ask(b"\0\xff\xff\0")], |_| vec![ask([0])]),
        Shape::new("a body without end", vec![asked()], |_| vec![ask("a")]),
        Shape::new("a head without end", vec![asked()], |_| vec![tell("a: b\n")]),
        Shape::new("requests", vec![], move |_| vec![asked(), tell("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]),
    ]
}
