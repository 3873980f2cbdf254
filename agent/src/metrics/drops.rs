//! Requests that were dropped, by protocol and reason: each is counted once, and none is dropped without a reason.

use std::sync::LazyLock;

use wirespan_protocols::exchange::Reason;
use wirespan_protocols::registry::{DATAGRAM_PROTOCOLS, PROTOCOLS};

use super::{Counter, Reading};

/// What is said of a request whose protocol is not known.
const UNKNOWN: &str = "unknown";
const HELP: &str = "Of those, by protocol and reason";

/// Every protocol, in the order of the registry; the last is for those that are not known.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    PROTOCOLS.iter().chain(DATAGRAM_PROTOCOLS).map(|protocol| protocol.name).chain([UNKNOWN]).collect()
});

/// What each counter is called, as Prometheus would: `exchanges_dropped{protocol="redis",reason="gap"}`.
static LABELLED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let reasons = |protocol: &&str| Reason::ALL.map(|reason| labelled(protocol, reason));
    NAMES.iter().flat_map(reasons).collect()
});

fn labelled(protocol: &str, reason: Reason) -> String {
    format!("exchanges_dropped{{protocol=\"{protocol}\",reason=\"{}\"}}", reason.name())
}

/// One counter for each protocol and reason.
#[derive(Debug)]
pub struct Drops(Vec<Counter>);

impl Default for Drops {
    fn default() -> Self {
        Self(LABELLED.iter().map(|_| Counter::default()).collect())
    }
}

impl Drops {
    /// `n` more of a protocol, for this reason.
    pub fn add(&self, protocol: &str, reason: Reason, n: u64) {
        let of = NAMES.iter().position(|name| *name == protocol).unwrap_or(NAMES.len() - 1);
        let why = Reason::ALL.iter().position(|known| *known == reason).unwrap_or_default();
        if let Some(counter) = self.0.get(of * Reason::ALL.len() + why) {
            counter.add(n);
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }

    /// Those that are not 0, in the order of the registry.
    pub fn snapshot(&self) -> Vec<Reading> {
        let names = LABELLED.iter().map(String::as_str);
        let told = names.zip(&self.0).map(|(name, counter)| (name, HELP, counter.get()));
        told.filter(|(_, _, value)| *value > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_and_reason_has_a_counter_of_its_own() {
        let drops = Drops::default();
        for (n, protocol) in NAMES.iter().enumerate() {
            for (m, reason) in Reason::ALL.into_iter().enumerate() {
                drops.add(protocol, reason, (n * 100 + m + 1) as u64);
            }
        }
        let told = drops.snapshot();
        assert_eq!(told.len(), NAMES.len() * Reason::ALL.len());
        for (n, protocol) in NAMES.iter().enumerate() {
            for (m, reason) in Reason::ALL.into_iter().enumerate() {
                let (name, _, value) = told[n * Reason::ALL.len() + m];
                assert_eq!((name, value), (labelled(protocol, reason).as_str(), (n * 100 + m + 1) as u64));
            }
        }
        assert_eq!(drops.total(), told.iter().map(|(_, _, value)| value).sum::<u64>());
    }

    #[test]
    fn a_protocol_that_nobody_knows_is_counted_too() {
        let drops = Drops::default();
        drops.add("gopher", Reason::Gap, 3);
        assert_eq!(drops.snapshot(), [("exchanges_dropped{protocol=\"unknown\",reason=\"gap\"}", HELP, 3)]);
    }
}
