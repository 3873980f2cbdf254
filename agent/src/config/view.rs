//! The local view: where it listens, who may see it, what it keeps.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{ConfigError, Settings, Surroundings};
use crate::memory::shares;
use crate::store;

/// Where the view listens when nobody says.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4316);
/// Shortest token, characters: what can be guessed is no token.
const MIN_TOKEN: usize = 16;

/// What was asked of the local view.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What a reader has to know, if anything.
    pub token: Option<Token>,
    /// What is kept.
    pub store: store::Settings,
}

/// A secret, which no debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A secret that a test chose.
    #[cfg(test)]
    pub(crate) fn new(secret: &str) -> Self {
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
        Self { listen, token: None, store: store::Settings { limits, path: None } }
    }

    /// Reads the settings of the view; `None` if there is to be none. `exported`: spans go elsewhere.
    pub(super) fn read(
        settings: &Settings,
        surroundings: &Surroundings<'_>,
        exported: bool,
    ) -> Result<Option<Self>, ConfigError> {
        let path = settings.get("store").texts.first().map(PathBuf::from);
        let listen = match settings.checked("listen", listen)? {
            Listen::Off => None,
            Listen::Auto => (!exported || path.is_some()).then_some(DEFAULT_LISTEN),
            Listen::At(address) => Some(address),
        };
        let token = token(settings, surroundings)?;
        let Some(listen) = listen else {
            return match path {
                None => Ok(None),
                Some(_) => Err(super::contradiction(
                    settings.get("store"),
                    settings.get("listen"),
                    "what is stored is there for the view; let it listen, or leave store away",
                )),
            };
        };
        if !listen.ip().to_canonical().is_loopback() && token.is_none() {
            let setting = settings.get("listen");
            return Err(setting.wrong(
                &setting.texts.concat(),
                "is not a loopback address, so anybody in reach could read the traces: make a token with \
                 `openssl rand -hex 32 > FILE` and add --token-file FILE",
            ));
        }
        let bytes = match settings.number_if_said("store-bytes")? {
            Some(bytes) => bytes,
            None => shares::usual_store(settings.number("max-memory")?),
        };
        let limits = store::Limits { bytes, traces: settings.number("store-traces")? };
        Ok(Some(Self { listen, token, store: store::Settings { limits, path } }))
    }
}

enum Listen {
    Off,
    Auto,
    At(SocketAddr),
}

fn listen(text: &str) -> Result<Listen, String> {
    match text.trim() {
        "off" => return Ok(Listen::Off),
        "auto" => return Ok(Listen::Auto),
        _ => {}
    }
    // What names a loopback address everywhere needs no resolver.
    let numeric = text.trim().replace("localhost:", "127.0.0.1:");
    let problem = "is no address with a port; write one such as 127.0.0.1:4316 or [::1]:4316, or off";
    numeric.parse().map(Listen::At).map_err(|_| problem.to_owned())
}

/// The token of `token-file`, if there is to be one.
pub(super) fn token(settings: &Settings, surroundings: &Surroundings<'_>) -> Result<Option<Token>, ConfigError> {
    let setting = settings.get("token-file");
    let Some(path) = setting.texts.first() else { return Ok(None) };
    let text = (surroundings.read)(path.as_ref()).map_err(|error| {
        setting.wrong(path, format!("cannot be read: {error}; correct the path or its permissions"))
    })?;
    let token = text.trim();
    if token.len() < MIN_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = format!(
            "holds no token: write at least {MIN_TOKEN} letters and digits in one line, such as those of `openssl rand -hex 32`"
        );
        return Err(setting.wrong(path, problem));
    }
    Ok(Some(Token(token.to_owned())))
}
