//! A subject at its limit: wrk, h2load or another generator asks as fast as it is answered.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::mark::mark;
use super::server::Server;
use super::subjects::{Load, Subject, grpc, nginx, postgres};
use crate::{services, shell};

/// What one round at the limit gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// Requests that the server answered.
    pub requests: f64,
    /// A second, as the load generator says.
    pub rate: f64,
}

/// wrk, begun as `command`, asks a server for so many seconds.
pub fn wrk(command: &mut Command, server: &Server, connections: u32, seconds: u32) -> Result<Round> {
    wrk_at(command, &format!("http://{}{}", server.address, mark()), connections, seconds)
}

/// The same, for a URL.
pub fn wrk_at(command: &mut Command, url: &str, connections: u32, seconds: u32) -> Result<Round> {
    command.args(["--threads", "1", "--connections", &connections.to_string()]);
    command.args(["--duration", &format!("{seconds}s")]).arg(url);
    let output = shell::read(command)?;
    let round = parse_wrk(&output).with_context(|| format!("wrk says:\n{output}"))?;
    if output.contains("Non-2xx") || output.contains("Socket errors") {
        bail!("requests failed:\n{output}");
    }
    Ok(round)
}

/// A running subject and what its limit was without the agent.
pub struct Limit<'a> {
    pub subject: &'a Subject,
    pub server: &'a Server,
    /// Requests a second while it was warmed up.
    pub rate: f64,
}

impl<'a> Limit<'a> {
    /// Warms the server up, which is when its limit becomes known.
    pub fn find(subject: &'a Subject, server: &'a Server) -> Result<Self> {
        // A first guess for the generator that counts requests and not seconds.
        let mut limit = Self { subject, server, rate: 20_000.0 };
        for _ in 0..2 {
            limit.rate = limit.load(1).context("warming up")?.rate;
        }
        Ok(limit)
    }

    /// The rate at which latency is measured, requests a second: the subject's, but no more than a third of its limit.
    pub fn fixed_rate(&self) -> Option<f64> {
        self.subject.rate.map(|rate| rate.min((self.rate / 3.0).max(1.0).floor()))
    }

    /// Loads the server for about `seconds`.
    pub fn load(&self, seconds: u32) -> Result<Round> {
        match self.subject.load {
            Load::Http => self.wrk(seconds),
            Load::Redis { pipeline } => self.redis_benchmark(pipeline, seconds),
            Load::Http2 { streams } => self.h2load(streams, seconds),
            Load::Grpc { streams } => self.grpcio(streams, seconds),
            Load::Pgbench => self.pgbench(seconds),
        }
    }

    fn generator(&self, program: &str) -> Result<Command> {
        self.placed(services::find(program).with_context(|| format!("{program} is not installed"))?)
    }

    /// A command that runs where the load runs.
    fn placed(&self, program: PathBuf) -> Result<Command> {
        let prefix = self.subject.load_prefix();
        let (first, rest) = prefix.split_first().context("a load without a place")?;
        let mut command = Command::new(first);
        command.args(rest).arg(program);
        Ok(command)
    }

    /// Requests for about so many seconds, for generators that count.
    fn requests(&self, seconds: u32) -> f64 {
        (self.rate * f64::from(seconds)).round().max(1.0)
    }

    fn wrk(&self, seconds: u32) -> Result<Round> {
        let is_nginx = self.subject.key == nginx::SUBJECT.key;
        let before = if is_nginx { Some(nginx::answered(self.server)?) } else { None };
        let mut command = self.generator("wrk")?;
        let round = wrk(&mut command, self.server, self.subject.connections, seconds)?;
        match before {
            // wrk leaves requests behind when its time is over, and nginx has counted our own question.
            Some(before) => Ok(Round { requests: (nginx::answered(self.server)? - before - 1) as f64, ..round }),
            None => Ok(round),
        }
    }

    fn redis_benchmark(&self, pipeline: u32, seconds: u32) -> Result<Round> {
        let requests = self.requests(seconds);
        let mut command = self.generator("redis-benchmark")?;
        command.args(["-p", &self.server.address.port().to_string(), "-c", &self.subject.connections.to_string()]);
        command.args(["-n", &requests.to_string(), "-P", &pipeline.to_string(), "--csv", "GET", mark()]);
        let output = shell::read(&mut command)?;
        let rate = parse_redis(&output).with_context(|| format!("redis-benchmark says:\n{output}"))?;
        Ok(Round { requests, rate })
    }

    fn h2load(&self, streams: u32, seconds: u32) -> Result<Round> {
        let requests = self.requests(seconds);
        let mut command = self.generator("h2load")?;
        command.args([format!("-n{requests}"), format!("-c{}", self.subject.connections), format!("-m{streams}")]);
        command.arg(format!("http://{}{}", self.server.address, mark()));
        let output = shell::read(&mut command)?;
        let round = parse_h2load(&output).with_context(|| format!("h2load says:\n{output}"))?;
        if round.requests < requests || !output.contains(&format!("{requests} 2xx")) {
            bail!("requests failed:\n{output}");
        }
        Ok(round)
    }

    fn grpcio(&self, streams: u32, seconds: u32) -> Result<Round> {
        let requests = self.requests(seconds);
        let mut command = self.placed(services::python()?)?;
        grpc::ask(&mut command, self.server, requests as u64, self.subject.connections, streams);
        let output = shell::read(&mut command)?;
        let rate = output.trim().parse().with_context(|| format!("the gRPC client says:\n{output}"))?;
        Ok(Round { requests, rate })
    }

    fn pgbench(&self, seconds: u32) -> Result<Round> {
        let mut command = self.placed(postgres::program("pgbench")?)?;
        command.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.server.address.port().to_string()]);
        command.args(["-n", "-S", "-c", &self.subject.connections.to_string(), "-T", &seconds.to_string(), "postgres"]);
        let output = shell::read(&mut command)?;
        parse_pgbench(&output).with_context(|| format!("pgbench says:\n{output}"))
    }
}

/// `finished in 1.03s, 19342.12 req/s, 1.20MB/s` and `requests: 20000 total, …, 20000 succeeded, 0 failed, …`.
fn parse_h2load(output: &str) -> Option<Round> {
    let find = |start: &str, end: &str| -> Option<f64> {
        let line = output.lines().find(|line| line.starts_with(start))?;
        line.split(", ").find_map(|part| part.strip_suffix(end)?.parse().ok())
    };
    Some(Round { requests: find("requests:", " succeeded")?, rate: find("finished in", " req/s")? })
}

/// `  151331 requests in 5.10s, 46.61MB read` and `Requests/sec:  29672.60`.
fn parse_wrk(output: &str) -> Option<Round> {
    let requests = output.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok())?;
    let rate = output.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    Some(Round { requests, rate })
}

/// `"GET key","52631.58","0.180",…` below a line of titles.
fn parse_redis(output: &str) -> Option<f64> {
    let line = output.lines().find(|line| line.starts_with("\"GET"))?;
    line.split("\",\"").nth(1)?.parse().ok()
}

/// `number of transactions actually processed: 51236` and `tps = 10247.3 (without initial connection time)`.
fn parse_pgbench(output: &str) -> Option<Round> {
    let number = |prefix: &str| {
        let rest = output.lines().find_map(|line| line.strip_prefix(prefix))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    Some(Round { requests: number("number of transactions actually processed: ")?, rate: number("tps = ")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_wrk_is_understood() {
        let output = "Running 5s test @ http://127.0.0.1\n  151331 requests in 5.10s, 46.61MB read\n\
                      Requests/sec:  29672.60\nTransfer/sec:      9.14MB\n";
        assert_eq!(parse_wrk(output), Some(Round { requests: 151_331.0, rate: 29_672.6 }));
    }

    #[test]
    fn the_output_of_h2load_is_understood() {
        let output = "finished in 207.43ms, 19283.50 req/s, 1.99MB/s\n\
                      requests: 4000 total, 4000 started, 4000 done, 3999 succeeded, 1 failed, 0 errored, 0 timeout\n";
        assert_eq!(parse_h2load(output), Some(Round { requests: 3999.0, rate: 19_283.5 }));
    }

    #[test]
    fn the_output_of_redis_benchmark_is_understood() {
        let output =
            "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\"\n\"GET /key\",\"52631.58\",\"0.180\",\"0.05\"\n";
        assert_eq!(parse_redis(output), Some(52_631.58));
    }

    #[test]
    fn the_output_of_pgbench_is_understood() {
        let output = "number of transactions actually processed: 51236\nlatency average = 0.390 ms\n\
                      tps = 10247.310482 (without initial connection time)\n";
        assert_eq!(parse_pgbench(output), Some(Round { requests: 51_236.0, rate: 10_247.310_482 }));
    }
}
