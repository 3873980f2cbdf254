//! The samplers of the specification (`OTEL_TRACES_SAMPLER`): what is decided about a trace by its id and by what its
//! request says.

use wirespan_signals::Trace;

use crate::threshold::{self, Threshold};

/// A sampler for traces that begin here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Whether what the request says of sampling decides, where it says something.
    pub parent_based: bool,
    /// The rest.
    pub root: Threshold,
}

impl Default for Head {
    /// `parentbased_always_on`, as the specification has it.
    fn default() -> Self {
        Self { parent_based: true, root: Threshold::ALWAYS }
    }
}

/// Every sampler that the specification names, as it is written.
pub const NAMES: [&str; 9] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
    "jaeger_remote",
    "parentbased_jaeger_remote",
    "xray",
];

/// Why a sampler cannot be used: the rest of a sentence that begins with what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Its name.
    Name(String),
    /// Its argument.
    Argument(String),
}

impl Head {
    /// The sampler of this name and argument.
    ///
    /// # Errors
    /// If there is no such sampler, or it does not understand the argument.
    pub fn parse(name: &str, argument: Option<&str>) -> Result<Self, HeadError> {
        let name = name.trim().to_ascii_lowercase();
        let (parent_based, rest) = match name.strip_prefix("parentbased_") {
            Some(rest) => (true, rest),
            None => (false, name.as_str()),
        };
        let root = match rest {
            "always_on" => Threshold::ALWAYS,
            "always_off" => Threshold::NEVER,
            "traceidratio" => Threshold::of(ratio(argument)?),
            "jaeger_remote" | "xray" => {
                let problem = "asks another service what to keep, which wirespan does not; use parentbased_traceidratio, \
                               or the options tail_sampling and traces-per-second";
                return Err(HeadError::Name(problem.to_owned()));
            }
            _ => {
                let known: Vec<&str> = NAMES[..6].to_vec();
                return Err(HeadError::Name(format!("is no sampler; use one of {}", known.join(", "))));
            }
        };
        Ok(Self { parent_based, root })
    }

    /// Whether traces are kept of which the request says that nobody records them.
    pub fn ignores_flags(&self) -> bool {
        !self.parent_based && self.root < Threshold::NEVER
    }

    /// Whether all is kept that comes.
    pub fn keeps_all(&self) -> bool {
        self.root == Threshold::ALWAYS
    }

    /// By which threshold a trace is kept, of which this is the first piece; `None` if another has decided. What
    /// applications send was decided about by their own samplers.
    pub fn threshold(&self, trace: &Trace) -> Option<Threshold> {
        let decided =
            |span: &wirespan_signals::Span| span.scope.is_some() || (self.parent_based && span.parent_is_remote);
        (!trace.spans.iter().any(decided)).then_some(self.root)
    }
}

/// The part of all traces that `traceidratio` keeps.
fn ratio(argument: Option<&str>) -> Result<f64, HeadError> {
    let Some(text) = argument.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(1.0) };
    let ratio: Option<f64> = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| HeadError::Argument("is not a ratio; write a number from 0 to 1, such as 0.25".to_owned()))
}

/// Whether `threshold` keeps a trace.
pub fn keeps(threshold: Threshold, trace: &Trace) -> bool {
    trace.spans.first().is_some_and(|span| threshold.keeps(threshold::randomness(&span.trace_id, &span.trace_state)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirespan_delivery::testing::{span, trace};

    #[test]
    fn every_name_of_the_specification_is_known_or_refused_with_a_remedy() {
        for name in NAMES {
            match Head::parse(name, None) {
                Ok(head) => assert_eq!(head.parent_based, name.starts_with("parentbased")),
                Err(HeadError::Name(problem)) => assert!(problem.contains("use parentbased_traceidratio"), "{name}"),
                Err(other) => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(Head::parse("parentbased_always_on", Some("nonsense")), Ok(Head::default()), "it takes none");
        assert!(
            matches!(Head::parse("sometimes", None), Err(HeadError::Name(p)) if p.contains("always_on, always_off"))
        );
        for bad in ["10%", "2", "-0.1", "nan"] {
            let argument = Head::parse("traceidratio", Some(bad));
            assert!(matches!(argument, Err(HeadError::Argument(p)) if p.contains("from 0 to 1")), "{bad}");
        }
        assert_eq!(Head::parse("traceidratio", Some(" ")).unwrap().root, Threshold::ALWAYS, "the default ratio is 1");
    }

    #[test]
    fn a_request_that_says_so_decides_where_parents_count() {
        let stated = |remote| trace(vec![wirespan_signals::Span { parent_is_remote: remote, ..span("a") }]);
        let based = Head::parse("parentbased_always_off", None).unwrap();
        assert_eq!(based.threshold(&stated(true)), None);
        assert_eq!(based.threshold(&stated(false)), Some(Threshold::NEVER));
        let alone = Head::parse("always_off", None).unwrap();
        assert_eq!(alone.threshold(&stated(true)), Some(Threshold::NEVER));
        assert!(!alone.ignores_flags() && Head::parse("always_on", None).unwrap().ignores_flags());
    }
}
