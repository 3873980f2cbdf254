//! Where OTLP is received: `off`, `HOST`, `HOST:PORT` or `HOST:PORT,HOST:PORT`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::Uri;

use super::view::{self, Token};
use super::{ConfigError, Settings, Surroundings};
use crate::ingest::Limits;

/// What is received of applications, and from whom.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpIn {
    /// Where to listen; each address for gRPC and HTTP.
    pub addresses: Vec<SocketAddr>,
    /// What senders have to know, if anything.
    pub token: Option<Token>,
    /// Bytes of one message, before and after decompression.
    pub max_message: usize,
    /// How much of each span is kept.
    pub limits: Limits,
}

impl OtlpIn {
    /// Reads the settings; `None` if nothing is to be received.
    ///
    /// Programs of this machine may send without a token, as they may to any collector on a loopback address; what they
    /// could forge harms nobody but their own user. Where other machines reach, the token of the view is demanded.
    pub(super) fn read(settings: &Settings, surroundings: &Surroundings<'_>) -> Result<Option<Self>, ConfigError> {
        let addresses = settings.checked("otlp-listen", addresses)?;
        let max_message = settings.number("otlp-max-message")?;
        let limits = limits(settings)?;
        if addresses.is_empty() {
            return Ok(None);
        }
        let Some(open) = addresses.iter().find(|address| !is_local(address)) else {
            return Ok(Some(Self { addresses, token: None, max_message, limits }));
        };
        let Some(token) = view::token(settings, surroundings)? else {
            let problem = "can be reached from other machines, and anybody there could send spans: make a token with \
                           `openssl rand -hex 32 > FILE` and add --token-file FILE, or listen on 127.0.0.1";
            return Err(settings.get("otlp-listen").wrong(&open.to_string(), problem.to_owned()));
        };
        Ok(Some(Self { addresses, token: Some(token), max_message, limits }))
    }

    /// What is received must not be sent to the place where it is received.
    pub(super) fn check_circle(&self, endpoint: &Uri, settings: &Settings) -> Result<(), ConfigError> {
        let host = endpoint.host().and_then(host);
        let to = |listens: &&SocketAddr| {
            let all = listens.ip().is_unspecified() && host.is_some_and(|ip| ip.is_loopback());
            endpoint.port_u16() == Some(listens.port()) && (all || host == Some(listens.ip()))
        };
        match self.addresses.iter().find(to) {
            Some(listens) => Err(ConfigError::Contradiction(format!(
                "{} listens on {listens}, and spans are sent there: they would go round for ever; send them elsewhere",
                settings.get("otlp-listen").place()
            ))),
            None => Ok(()),
        }
    }
}

fn limits(settings: &Settings) -> Result<Limits, ConfigError> {
    Ok(Limits {
        attributes: settings.number("attribute-count-limit")?,
        length: settings.number("attribute-length-limit")?,
        events: settings.number("event-count-limit")?,
        links: settings.number("link-count-limit")?,
        event_attributes: settings.number("event-attribute-count-limit")?,
        link_attributes: settings.number("link-attribute-count-limit")?,
    })
}

/// The ports that OTLP has for gRPC and HTTP (OTLP, *Default Port*). Either transport is understood on both.
const PORTS: [u16; 2] = [4317, 4318];

/// The addresses; none for `off`. Each error is the rest of a sentence that begins with the value.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("off") {
        return Ok(Vec::new());
    }
    if let Some(host) = host(text) {
        return Ok(PORTS.map(|port| SocketAddr::new(host, port)).to_vec());
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for part in text.split(',') {
        let address = address(part.trim()).ok_or(
            "is no place to listen; write off, 127.0.0.1 (ports 4317 and 4318), or ADDRESS:PORT, several with commas",
        )?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn address(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| {
        let (name, port) = text.rsplit_once(':')?;
        Some(SocketAddr::new(host(name)?, port.parse().ok()?))
    })
}

/// An address, or the one name that needs no resolver.
fn host(text: &str) -> Option<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether programs of this machine alone can reach an address.
fn is_local(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        addresses(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_host_alone_means_the_two_ports_of_otlp() {
        assert_eq!(parsed("127.0.0.1"), ["127.0.0.1:4317", "127.0.0.1:4318"]);
        assert_eq!(parsed("localhost"), ["127.0.0.1:4317", "127.0.0.1:4318"]);
        assert_eq!(parsed("::1"), ["[::1]:4317", "[::1]:4318"]);
        assert_eq!(parsed("0.0.0.0"), ["0.0.0.0:4317", "0.0.0.0:4318"]);
    }

    #[test]
    fn ports_may_be_chosen() {
        assert_eq!(parsed("127.0.0.1:9000"), ["127.0.0.1:9000"]);
        assert_eq!(parsed("localhost:1, [::1]:2"), ["127.0.0.1:1", "[::1]:2"]);
        assert_eq!(parsed("127.0.0.1:1,127.0.0.1:1"), ["127.0.0.1:1"]);
        assert_eq!(parsed("off"), [""; 0]);
    }

    #[test]
    fn what_is_no_place_is_told_what_one_is() {
        for bad in ["on", "4317", "collector:4317", "127.0.0.1:", "127.0.0.1:70000", "a,b"] {
            assert!(addresses(bad).unwrap_err().contains("ADDRESS:PORT"), "{bad}");
        }
    }

    #[test]
    fn only_loopback_is_local() {
        let local = |text: &str| is_local(&text.parse().unwrap());
        assert!(local("127.0.0.1:1") && local("127.9.9.9:1") && local("[::1]:1") && local("[::ffff:127.0.0.1]:1"));
        assert!(!local("0.0.0.0:1") && !local("[::]:1") && !local("10.0.0.1:1"));
    }
}
