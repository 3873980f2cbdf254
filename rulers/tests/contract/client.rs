//! Who asks: keeps its connection, and takes nothing less.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a program.
pub struct Client {
    port: u16,
    stream: BufReader<TcpStream>,
    /// The program ended it with its last answer.
    is_over: bool,
    reconnected: usize,
}

impl Client {
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { port, stream: BufReader::new(stream), is_over: false, reconnected: 0 })
    }

    /// How often the program ended the connection while there was more to ask.
    pub fn reconnected(&self) -> usize {
        self.reconnected
    }

    /// Asks, and reads the answer to its end. Returns the status.
    ///
    /// # Errors
    ///
    /// When there is no answer, when it has no `Content-Length` or no text, or when the connection ends unannounced.
    pub fn get(&mut self, target: &str) -> Result<u16> {
        if self.is_over {
            *self = Self { reconnected: self.reconnected + 1, ..Self::connect(self.port)? };
        }
        let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: ruler\r\n\r\n");
        self.stream.get_mut().write_all(request.as_bytes()).context("the connection was not kept")?;
        let status = self.line()?;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let code: u16 = code.with_context(|| format!("no status line: {status:?}"))?;
        let mut length = None;
        let mut text = false;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            let Some((name, value)) = line.split_once(':') else { break };
            match (name, value.trim()) {
                ("content-length", value) => length = Some(value.parse::<usize>()?),
                ("content-type", value) => text = value.starts_with("text/plain"),
                ("connection", value) => self.is_over = value == "close",
                _ => {}
            }
        }
        let mut body = vec![0; length.context("no Content-Length")?];
        self.stream.read_exact(&mut body)?;
        ensure!(text, "no text/plain");
        ensure!(!body.is_empty(), "no body");
        Ok(code)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the connection was not kept");
        Ok(line.trim_end().to_owned())
    }
}
