//! Memory goes back to the system when a load ends.
//!
//! The allocator keeps what it is given back, in case it is asked again: after a burst the agent would look as large as
//! at its height for ever. So it is told to let go when more is resident than what is held explains: not while a load goes
//! on, for what it lets go of must be asked for anew.

/// Less than so much is not worth the work, bytes.
const WORTH: usize = 8 << 20;
/// For so many looks in a row it must have been worth it.
const LOOKS: u32 = 2;

/// Watches how much is resident beside what is held.
#[derive(Debug, Default)]
pub struct Trimmer {
    /// The least that ever was, since memory was given back: the program itself, and what cannot be had.
    least: Option<usize>,
    /// What was held at the last look.
    last: usize,
    /// Looks in a row at which there was much more.
    more: u32,
}

impl Trimmer {
    /// Looks at how much is held and resident now. Whether it is time to give memory back.
    pub fn look(&mut self, held: usize, resident: usize) -> bool {
        let beside = resident.saturating_sub(held);
        let least = self.least.map_or(beside, |least| least.min(beside));
        self.least = Some(least);
        // (A load that swings from one look to the next goes on.)
        let calm = held.abs_diff(std::mem::replace(&mut self.last, held)) < WORTH;
        self.more = if calm && beside - least >= WORTH { self.more + 1 } else { 0 };
        if self.more < LOOKS {
            return false;
        }
        // What stays after that is as little as can be.
        *self = Self { least: None, last: held, more: 0 };
        true
    }
}

/// Bytes of this process that are resident and its own: neither the program's file nor the ring, which is resident as far as
/// it was ever read. 0 if the system does not say.
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut numbers = statm.split(' ').skip(1).map(|pages| pages.parse::<usize>().unwrap_or(0));
    let (all, shared) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let pages = all.saturating_sub(shared);
    // SAFETY: no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * usize::try_from(page).unwrap_or(0)
}

/// Has threads share the allocator's arenas, so that less lies between what stays. To be called before there are threads.
pub fn share_arenas() {
    // SAFETY: no preconditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives free memory back to the system. Takes some milliseconds, during which others may wait for the allocator.
pub fn give_back() {
    // SAFETY: no preconditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn looks(trimmer: &mut Trimmer, seen: &[(usize, usize)]) -> Vec<bool> {
        seen.iter().map(|(held, resident)| trimmer.look(held * MIB, resident * MIB)).collect()
    }

    #[test]
    fn memory_is_given_back_once_when_a_load_has_ended() {
        let mut trimmer = Trimmer::default();
        let load = [(1, 30), (100, 140), (120, 160), (2, 160)];
        assert_eq!(looks(&mut trimmer, &load), [false; 4], "it has only just ended");
        assert_eq!(looks(&mut trimmer, &[(2, 160), (2, 160), (2, 50), (2, 50)]), [false, true, false, false]);
        assert_eq!(looks(&mut trimmer, &[(2, 51), (2, 52), (2, 53)]), [false; 3], "what stays is not to be had");
        assert_eq!(looks(&mut trimmer, &[(2, 90), (2, 90)]), [false, true], "but what comes later is");
    }

    #[test]
    fn nothing_is_given_back_while_a_load_goes_on_or_what_is_held_explains_it() {
        let mut trimmer = Trimmer::default();
        assert_eq!(looks(&mut trimmer, &[(1, 30), (90, 200), (20, 200), (90, 200), (20, 200)]), [false; 5]);
        let mut trimmer = Trimmer::default();
        assert_eq!(looks(&mut trimmer, &[(1, 30), (40, 70), (41, 71), (41, 71), (41, 71)]), [false; 5]);
    }

    #[test]
    fn what_is_resident_is_what_the_system_says() {
        let held = std::hint::black_box(vec![1_u8; 32 * MIB]);
        assert!(resident() > held.len());
    }
}
