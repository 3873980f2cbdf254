//! Which traces are kept.

use wirespan_sampling::block::Node;
use wirespan_sampling::head::{Head, HeadError};
use wirespan_sampling::tail::Tail;

use super::{ConfigError, Settings, block};

/// Which traces are kept, as far as it was said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SamplingConfig {
    /// The sampler of the specification.
    pub head: Head,
    /// The Collector's block, which was found to be sound.
    pub tail: Option<Node>,
    /// Traces a second of each service.
    pub traces_per_second: Option<u32>,
}

impl SamplingConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let (sampler, argument) = (settings.get("traces-sampler"), settings.get("traces-sampler-arg"));
        let (name, stated) = (sampler.texts.concat(), argument.texts.concat());
        let head = Head::parse(&name, Some(stated.as_str())).map_err(|error| match error {
            HeadError::Name(problem) => sampler.wrong(&name, problem),
            HeadError::Argument(problem) => argument.wrong(&stated, problem),
        })?;
        let tail = settings.get("tail-sampling");
        let block = tail.texts.first().map(|text| {
            let sound = |node: Node| Tail::read(&node).map(|_| node).map_err(|error| error.to_string());
            block::parse(text).and_then(sound).map_err(|problem| ConfigError::Block { place: tail.place(), problem })
        });
        let per_second = settings.number_if_said("traces-per-second")?;
        let traces_per_second = per_second.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        Ok(Self { head, tail: block.transpose()?, traces_per_second })
    }

    /// The same for the stage that decides, with room for so many bytes.
    pub fn settings(&self, bytes: usize) -> wirespan_sampling::Settings {
        // (It was read before, so it is sound.)
        let tail = self.tail.as_ref().and_then(|node| Tail::read(node).ok());
        wirespan_sampling::Settings { head: self.head, tail, traces_per_second: self.traces_per_second, bytes }
    }

    /// What part of all memory it may take, as one of so many: traces that wait take room, decisions little.
    pub fn share(&self) -> Option<usize> {
        let settings = self.settings(0);
        let waits = settings.tail.as_ref().is_some_and(|tail| !tail.wait.is_zero());
        settings.decides().then_some(if waits { 8 } else { 32 })
    }
}
