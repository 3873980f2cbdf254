//! Requests and responses whose every byte the test writes.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How long a peer may stay silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection of a client that speaks only what it is told.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects.
    pub fn connect(address: impl Into<SocketAddr>) -> Self {
        let stream = TcpStream::connect(address.into()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self { stream, unread: Vec::new() }
    }

    /// Connects to a port of the IPv4 loopback.
    pub fn to_port(port: u16) -> Self {
        Self::connect(([127, 0, 0, 1], port))
    }

    /// Writes bytes by one system call.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Writes pieces by as few `writev` as the kernel allows.
    pub fn send_vectored<'a>(&mut self, pieces: impl Iterator<Item = &'a [u8]>) {
        let pieces: Vec<IoSlice<'a>> = pieces.map(IoSlice::new).collect();
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let sent = self.stream.write_vectored(&pieces).expect("the server reads");
        assert_eq!(sent, total, "a request of this size goes out at once");
    }

    /// Looks at what has arrived, without taking it.
    pub fn peek(&mut self) {
        let seen = self.stream.peek(&mut [0; 4096]).expect("the server answers");
        assert!(seen > 0, "the server hung up");
    }

    /// Reads once, by `readv` into pieces of `size` bytes.
    pub fn read_vectored(&mut self, size: usize) {
        let mut buffer = vec![0; size * 500];
        let mut pieces: Vec<IoSliceMut<'_>> = buffer.chunks_mut(size).map(IoSliceMut::new).collect();
        let n = self.stream.read_vectored(&mut pieces).expect("the server answers");
        self.unread.extend_from_slice(&buffer[..n]);
    }

    /// Writes bytes; a server that has already hung up is no failure.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads one response with a `Content-Length`; returns its status code.
    pub fn response(&mut self) -> u16 {
        let head_end = self.fill_until(|bytes| find(bytes, b"\r\n\r\n").map(|at| at + 4));
        let head = String::from_utf8_lossy(&self.unread[..head_end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.expect("a Content-Length").trim().parse().expect("a number");
        let total = self.fill_until(|bytes| (bytes.len() >= head_end + length).then_some(head_end + length));
        self.unread.drain(..total);
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status code")
    }

    /// Reads until it has said `text`.
    pub fn read_until(&mut self, text: &[u8]) {
        let end = self.fill_until(|bytes| find(bytes, text).map(|at| at + text.len()));
        self.unread.drain(..end);
    }

    /// Reads until the server hangs up, in whatever way.
    pub fn drain(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.unread);
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// Says that no more will be sent.
    pub fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Waits, without reading, until the peer has sent its last byte and closed.
    pub fn is_closed_by_peer(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready == 1)
    }

    fn fill_until(&mut self, complete: impl Fn(&[u8]) -> Option<usize>) -> usize {
        loop {
            if let Some(at) = complete(&self.unread) {
                return at;
            }
            let mut chunk = [0; 16384];
            let n = self.stream.read(&mut chunk).expect("the server answers");
            assert!(n > 0, "the server hung up after {:?}", String::from_utf8_lossy(&self.unread));
            self.unread.extend_from_slice(&chunk[..n]);
        }
    }
}

/// A `GET` as a client would write it.
pub fn request(method: &str, port: u16, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: raw\r\n\r\n")
}

/// What became of many requests made by several clients at once.
pub struct Crowd {
    /// Connections, each with a thread of its own.
    pub clients: usize,
    /// Requests on each connection, one after the other.
    pub each: usize,
}

impl Crowd {
    /// Requests in all.
    pub fn total(&self) -> usize {
        self.clients * self.each
    }

    /// `GET`s `path(n)` for each n from 0 to the total; every answer must be 200.
    pub fn get(&self, port: u16, path: impl Fn(usize) -> String + Sync) {
        std::thread::scope(|scope| {
            for client in 0..self.clients {
                let path = &path;
                scope.spawn(move || {
                    let mut connection = Client::to_port(port);
                    for n in client * self.each..(client + 1) * self.each {
                        connection.send(request("GET", port, &path(n)));
                        assert_eq!(connection.response(), 200, "{}", path(n));
                    }
                });
            }
        });
    }
}

/// A server that answers each connection's first bytes with `reply`, whatever they are, and hangs up.
pub fn serve(listener: TcpListener, connections: usize, reply: Vec<u8>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let mut stream = stream.expect("accept");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let mut request = [0; 65536];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&reply);
        }
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
