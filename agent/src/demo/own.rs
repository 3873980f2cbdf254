//! The shop's parts inside this program: for machines that have none of the languages, and the customer in any case.
//!
//! Each runs in a process of its own, which is started with hidden arguments of `wirespan demo`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use super::Role;

/// How long any one operation on a socket may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two orders of the customer.
const BETWEEN_ORDERS: Duration = Duration::from_millis(600);
/// The most that is read of a request or a response.
const MOST: u64 = 64 << 10;

/// Which part this process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it does.
    pub role: Role,
    /// Where it listens; for the customer, where the shop does.
    pub port: u16,
    /// Where the shop finds stock, prices and payments.
    pub others: Vec<u16>,
}

/// Is that part until it is ended.
pub fn run(part: &Part) -> ExitCode {
    let ended = match part.role {
        Role::Customer => orders(part.port),
        _ => serve(part),
    };
    eprintln!("wirespan demo: {}: {ended}", part.role.name());
    ExitCode::FAILURE
}

/// Orders something again and again; why it ended.
fn orders(port: u16) -> std::io::Error {
    for number in 1.. {
        // A shop that does not answer is asked again: that is what is to be seen.
        let _ = ask(port, "GET", &format!("/orders/{number}"));
        std::thread::sleep(BETWEEN_ORDERS);
    }
    std::io::Error::other("no numbers are left")
}

fn serve(part: &Part) -> std::io::Error {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, part.port)) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                let part = part.clone();
                std::thread::spawn(move || answer(&part, &stream));
            }
            Err(error) => return error,
        }
    }
}

/// Answers one request, and hangs up.
fn answer(part: &Part, mut stream: &TcpStream) -> std::io::Result<()> {
    let (first, _) = read(stream)?;
    let path = first.split(' ').nth(1).unwrap_or_default();
    let number: u64 = path.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let status = match part.role {
        Role::Shop => order(&part.others, number),
        Role::Prices if number % 5 == 2 => {
            std::thread::sleep(Duration::from_millis(400));
            200
        }
        Role::Payments if number % 7 == 3 => 500,
        _ => 200,
    };
    let (reason, body) = match status {
        200 => ("OK", "{\"answer\": \"yes\"}\n"),
        500 => ("Internal Server Error", "{\"answer\": \"no\"}\n"),
        _ => ("Bad Gateway", "{\"order\": \"failed\"}\n"),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())
}

/// The shop asks the others, one after the other, from the thread that serves the request.
fn order(others: &[u16], number: u64) -> u16 {
    let calls = [("GET", "stock"), ("GET", "price"), ("POST", "pay")];
    let answered = calls.iter().zip(others).all(|((method, what), port)| {
        ask(*port, method, &format!("/{what}/{number}")).is_ok_and(|status| status == 200)
    });
    if answered { 200 } else { 502 }
}

/// One request; the status of its response.
fn ask(port: u16, method: &str, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: wirespan-demo\r\n{length}");
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    let (first, _) = read(&stream)?;
    Ok(first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0))
}

/// The first line of a message, and its body.
fn read(stream: &TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.take(MOST));
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; usize::min(length, MOST as usize)];
    reader.read_exact(&mut body)?;
    Ok((first, body))
}
