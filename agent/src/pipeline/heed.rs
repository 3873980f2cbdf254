//! What the linking stage wants to be told of, and what became of the probes by which that is told.

use std::sync::PoisonError;

use super::Reader;
use crate::bpf::probes::{EVERY_PROCESS, Outcome};
use crate::clock;
use crate::traces::Interest;

impl Reader {
    /// Does what linking asked for since this was last called.
    pub(super) fn heed(&mut self) {
        let interests = std::mem::take(&mut *self.interests.lock().unwrap_or_else(PoisonError::into_inner));
        for (interest, wanted) in interests {
            match interest {
                Interest::Sleeps(tid) => self.capture.watch(tid, wanted),
                Interest::Births(tgid) => self.stages.heed_births(tgid, wanted),
            }
        }
    }

    /// Takes in what became of probes since this was last called.
    pub(super) fn probed(&mut self) {
        for Outcome { tgid, program, result } in self.capture.probed() {
            match result {
                Ok(places) if tgid == EVERY_PROCESS => {
                    log::info!("a TLS library is read from now on, at {places} places");
                    self.counters.tls_libraries.inc();
                    self.stages.library_probed(Some(clock::now()));
                }
                Err(error) if tgid == EVERY_PROCESS => {
                    log::warn!("a TLS library cannot be probed, so what passes through it is not read: {error}");
                    self.counters.tls_refused.inc();
                    self.stages.library_probed(None);
                }
                Ok(places) => {
                    log::debug!("process {tgid}: {places} places are probed");
                    self.counters.probes_attached.add(places as u64);
                    self.stages.process_probed(tgid, program, clock::now());
                }
                Err(error) => {
                    log::warn!("process {tgid} cannot be probed, so fewer of its calls are linked: {error}");
                    self.counters.probes_refused.inc();
                }
            }
        }
    }
}
