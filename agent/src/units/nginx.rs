//! What of nginx is probed: where it sends.

use std::fs::File;
use std::sync::Arc;

use wirespan_inspect::{Image, nginx};

use crate::bpf::probes::{Place, Probes, Program};

/// What is known of a file.
#[derive(Clone, Debug)]
pub struct Known(Arc<[Place]>);

impl Known {
    /// Reads a file that a process runs; `None` if it is not nginx. Says what cannot be probed.
    pub fn said(tgid: u32, file: &File) -> Option<Self> {
        let image = Image::parse(file).ok().filter(|image| nginx::is_nginx(image).unwrap_or_default())?;
        let places = nginx::places(&image).unwrap_or_else(|error| {
            log::info!("process {tgid}: nginx cannot be probed, so fewer of its calls are linked: {error}");
            Vec::new()
        });
        Some(Self(places.into_iter().map(|offset| Place { offset, cookie: 0 }).collect()))
    }

    /// What is to be probed in a process that runs it.
    pub fn probes(&self, file: File) -> Vec<Probes> {
        match self.0.is_empty() {
            true => Vec::new(),
            false => vec![Probes { program: Program::Nginx, file: Arc::new(file), places: Arc::clone(&self.0) }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_nginx_is_none() {
        assert!(Known::said(1, &File::open("/proc/self/exe").unwrap()).is_none());
    }
}
