//! Talks to a running agent, over the API of its local view: what `query`, `export`, `top` and `demo` stand on.
//!
//! | module | what it is |
//! |---|---|
//! | `connection` | one request, and what can go wrong with it |
//! | [`answer`] | what the agent answers |
//! | [`query`], [`logs`], [`export`], [`ps`] | the commands for scripts |

pub mod answer;
mod connection;
pub mod export;
pub mod logs;
pub mod ps;
pub mod query;

use std::io::Write as _;
use std::process::ExitCode;

pub use connection::{Client, ClientError, Endpoint};

/// Nothing was found, as with `grep`. Wrong usage is 2.
const NOTHING_FOUND: u8 = 1;
/// No agent answers, or not as it should.
const NO_ANSWER: u8 = 3;

/// Says what went wrong; the exit status that goes with it.
pub fn failed(error: &ClientError) -> ExitCode {
    eprintln!("wirespan: {error}");
    ExitCode::from(if matches!(error, ClientError::Unknown(_)) { NOTHING_FOUND } else { NO_ANSWER })
}

/// Writes a command's result to standard output; a reader that went away is no error.
fn print(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}
