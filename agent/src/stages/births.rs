//! Whether it is told which units of a process make others: linking says whether that is worth it.

use wirespan_links::facts::Fact;

use super::{Stages, Wish};
use crate::bpf::probes::Program;
use crate::connections::Signal;

impl Stages {
    /// It is worth being told which units of a process make others, from now on, or no longer.
    pub fn heed_births(&mut self, tgid: u32, wanted: bool) {
        let Some(finder) = &mut self.finder else { return };
        if wanted {
            log::debug!("process {tgid}: it is looked at who makes its goroutines");
            finder.ask_for_births(tgid);
        } else if finder.leave_births(tgid) {
            log::debug!("process {tgid}: who makes its goroutines explains no calls, and is not looked at any more");
            self.wishes.push(Wish::Unprobe(tgid, Some(Program::GoBirths)));
        }
    }

    /// A process is probed by this program since a moment: what linking wants to know of that.
    pub fn process_probed(&mut self, tgid: u32, program: Option<Program>, time: u64) {
        let births = match program {
            Some(Program::Go) => false,
            Some(Program::GoBirths) => {
                log::debug!("process {tgid}: who makes its goroutines is seen from now on");
                true
            }
            _ => return,
        };
        self.out.push(Signal::Fact(Fact::Watched { tgid, births, time }));
    }
}
