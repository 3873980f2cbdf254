//! The local view: where it listens, who may see it, what it keeps.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::store;

/// Where the view listens when nobody says.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4316);
/// Where its socket is when nobody says.
pub const DEFAULT_SOCKET: &str = "/run/wirespan/wirespan.sock";

/// What was asked of the local view.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewConfig {
    /// Where it listens, if it does.
    pub listen: Option<SocketAddr>,
    /// Its Unix socket, if it has one.
    pub socket: Option<PathBuf>,
    /// What a reader has to know, if anything.
    pub token: Option<Token>,
    /// What is kept.
    pub store: store::Settings,
}

/// A secret, which no debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// This secret.
    pub fn new(secret: &str) -> Self {
        Self(secret.to_owned())
    }

    /// The secret.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(****)")
    }
}

impl ViewConfig {
    /// A view beside which nothing was asked, as a command needs that traces for a while: it keeps less.
    pub fn brief(listen: SocketAddr) -> Self {
        let limits = store::Limits { bytes: 64 << 20, traces: 50_000 };
        Self {
            listen: Some(listen),
            socket: None,
            token: None,
            store: store::Settings { limits, path: None, lines: 0 },
        }
    }
}
