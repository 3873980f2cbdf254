//! A server of a few hundred KiB that answers every request with two bytes, until standard input ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

/// Prints its address in a line.
pub fn command() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    println!("{}", listener.local_addr().context("a listener without an address")?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks is the client's to report.
            thread::spawn(move || drop(answer(stream)));
        }
    });
    super::until_input_ends()
}

/// Requests without a body, one after the other.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..length]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        }
    }
}
