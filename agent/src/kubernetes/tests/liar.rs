//! An API server that answers as a test wants, on a port of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a test answers.
pub(super) enum Reply {
    /// An object or a list.
    Json(String),
    /// A status, more headers, and what `message` says.
    Status(u16, &'static str),
    /// Events of a watch, which then goes on without any.
    Watch(Vec<String>),
    /// Events of a watch, and a connection that breaks.
    Cut(Vec<String>),
}

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) token: String,
    pub(super) at: Instant,
}

/// The server.
pub(super) struct Liar {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Liar {
    /// `answer` is told what is asked and how often the same collection was asked for in this way before.
    pub(super) fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(answer));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
                std::thread::spawn(move || serve(&stream, &*answer, &heard));
            }
        });
        Self { url, asked }
    }

    /// Requests so far whose paths have this in them.
    pub(super) fn asked(&self, part: &str) -> Vec<Asked> {
        let all = self.asked.lock().unwrap();
        all.iter().filter(|asked| asked.path.contains(part)).cloned().collect()
    }

    /// Requests so far.
    pub(super) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// The collection, and whether it is watched.
fn way(path: &str) -> (&str, bool) {
    (path.split('?').next().unwrap_or_default(), path.contains("watch=true"))
}

fn serve(mut stream: &TcpStream, answer: &(dyn Fn(&Asked, usize) -> Reply + Send + Sync), heard: &Mutex<Vec<Asked>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).take(100).collect();
        let token = head.iter().find_map(|line| line.to_lowercase().strip_prefix("authorization: ").map(str::to_owned));
        let asked = Asked { path, token: token.unwrap_or_default(), at: Instant::now() };
        let before = {
            let mut all = heard.lock().unwrap();
            let before = all.iter().filter(|other| way(&other.path) == way(&asked.path)).count();
            all.push(asked.clone());
            before
        };
        let (events, cut) = match answer(&asked, before) {
            Reply::Json(body) => {
                whole(stream, 200, "", &body);
                continue;
            }
            Reply::Status(status, headers) => {
                whole(stream, status, headers, r#"{"kind":"Status","message":"because"}"#);
                continue;
            }
            Reply::Watch(events) => (events, false),
            Reply::Cut(events) => (events, true),
        };
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for event in events {
            let _ = stream.write_all(format!("{:x}\r\n{event}\n\r\n", event.len() + 1).as_bytes());
        }
        if cut {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Until the other end goes away.
        while matches!(stream.peek(&mut [0]), Ok(1..)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        return;
    }
}

fn whole(mut stream: &TcpStream, status: u16, headers: &str, body: &str) {
    let head = format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    let _ = stream.write_all(head.as_bytes());
}
