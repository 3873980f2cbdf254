//! Many connections to nginx: held open together, or made one after the other.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::bench::mark::mark;
use crate::bench::server;
use crate::bench::subjects::nginx::ADDRESSES;

/// nginx's `n`th address.
fn address(first: SocketAddr, n: u32) -> SocketAddr {
    let last = 1 + u8::try_from(n % u32::from(ADDRESSES)).unwrap_or_default();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), first.port())
}

/// Opens all, and makes one request on each.
pub fn hold(first: SocketAddr, count: u32) -> Result<Vec<TcpStream>> {
    let mut held = Vec::new();
    for n in 0..count {
        let mut stream = TcpStream::connect(address(first, n)).with_context(|| format!("connection {n}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", mark())?;
        let mut response = [0; 1024];
        let length = stream.read(&mut response).with_context(|| format!("response {n}"))?;
        if !response[..length].starts_with(b"HTTP/1.1 200") {
            bail!("connection {n} was not answered as expected");
        }
        held.push(stream);
    }
    Ok(held)
}

/// Opens one, makes a request, closes it, and again.
pub fn churn(first: SocketAddr, count: u32) -> Result<()> {
    const THREADS: u32 = 2;
    let work = |thread: u32| {
        let mut mine = (0..count).filter(|n| n % THREADS == thread);
        mine.try_for_each(|n| server::get(address(first, n / THREADS), mark()).map(drop))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a client thread panicked")))
    })
}
