//! The local view: where it listens, who may see it, what it keeps.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{ConfigError, Settings, Source, Surroundings};
use crate::memory::shares;
use wirespan_view::store;

pub use wirespan_view::config::{DEFAULT_LISTEN, DEFAULT_SOCKET, Token, ViewConfig};

/// What is kept when spans go elsewhere and nobody says how much: enough to be asked about the last while.
const BESIDE: store::Limits = store::Limits { bytes: 32 << 20, traces: 20_000 };
/// Shortest token, characters: what can be guessed is no token.
const MIN_TOKEN: usize = 16;

/// Reads the settings of the view; `None` if there is to be none. `exported`: spans go elsewhere.
pub(super) fn read(
    settings: &Settings,
    surroundings: &Surroundings<'_>,
    exported: bool,
) -> Result<Option<ViewConfig>, ConfigError> {
    let path = settings.get("store").texts.first().map(PathBuf::from);
    let listen = match settings.checked("listen", listen)? {
        Listen::Off => None,
        Listen::Auto => (!exported || path.is_some()).then_some(DEFAULT_LISTEN),
        Listen::At(address) => Some(address),
    };
    let socket = settings.checked("socket", socket)?;
    let token = token(settings, surroundings)?;
    if listen.is_none() && socket.is_none() {
        return match path {
            None => Ok(None),
            Some(_) => Err(super::contradiction(
                settings.get("store"),
                settings.get("listen"),
                "what is stored is there for the view; let it listen, let it have its socket, or leave store away",
            )),
        };
    }
    if listen.is_some_and(|listen| !listen.ip().to_canonical().is_loopback()) && token.is_none() {
        let setting = settings.get("listen");
        return Err(setting.wrong(
            &setting.texts.concat(),
            "is not a loopback address, so anybody in reach could read the traces: make a token with \
             `openssl rand -hex 32 > FILE` and add --token-file FILE",
        ));
    }
    let limits = limits(settings, exported && listen.is_none())?;
    Ok(Some(ViewConfig { listen, socket, token, store: store::Settings { limits, path, lines: 0 } }))
}

/// How much is kept. `beside`: what is kept is for the socket alone, while spans go elsewhere.
fn limits(settings: &Settings, beside: bool) -> Result<store::Limits, ConfigError> {
    let usual = shares::usual_store(settings.number("max-memory")?);
    let bytes = match settings.number_if_said("store-bytes")? {
        Some(bytes) => bytes,
        None if beside => usual.min(BESIDE.bytes),
        None => usual,
    };
    let traces = match settings.get("store-traces").source {
        Source::Default if beside => BESIDE.traces,
        _ => settings.number("store-traces")?,
    };
    Ok(store::Limits { bytes, traces })
}

fn socket(text: &str) -> Result<Option<PathBuf>, String> {
    /// Bytes of a path, of which the kernel takes 107, and we append four for a moment.
    const LONGEST: usize = 103;
    match text.trim() {
        "off" => Ok(None),
        path if path.contains('/') && path.len() <= LONGEST => Ok(Some(path.into())),
        path if path.contains('/') => Err(format!("is longer than {LONGEST} bytes; choose a shorter path")),
        _ => Err(format!("is no path; write one such as {DEFAULT_SOCKET}, or off")),
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
    Ok(Some(Token::new(token)))
}
