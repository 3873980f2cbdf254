//! Memory goes back to the system when a load ends.
//!
//! The allocator keeps what it is given back, in case it is asked again: after a burst the agent would look as large as
//! at its height for ever. So it is told to let go when more is resident than what is held explains: not while a load goes
//! on, for what it lets go of must be asked for anew.

/// Less than so much is not worth the work, bytes.
const WORTH: usize = 8 << 20;
/// For so many looks in a row it must have been worth it.
const LOOKS: u32 = 2;

/// The most looks that pass between two tries of which the first had brought nothing: a minute, if it is looked every second.
const PATIENCE: u32 = 64;

/// Watches how much is resident beside what is held.
///
/// Whether giving back is worth the work is known only when it was done: what is resident may be in use without being held by
/// any account, now and not any more in a moment. So it is tried, and where it brought nothing tried again, each time after
/// twice as long.
#[derive(Debug, Default)]
pub struct Trimmer {
    /// The least that ever was: the program itself, and what cannot be had.
    least: Option<usize>,
    /// What was held at the last look.
    last: usize,
    /// Looks in a row at which there was much more.
    more: u32,
    /// What was resident beside what was held when memory was given back at the last look.
    tried: Option<usize>,
    /// Looks after which it may be tried again.
    wait: u32,
    /// How long was waited the last time.
    waited: u32,
}

impl Trimmer {
    /// Looks at how much is held and resident now. Whether it is time to give memory back.
    pub fn look(&mut self, held: usize, resident: usize) -> bool {
        let beside = resident.saturating_sub(held);
        let least = self.least.map_or(beside, |least| least.min(beside));
        self.least = Some(least);
        if let Some(before) = self.tried.take() {
            let brought = before.saturating_sub(beside) >= WORTH;
            self.waited = if brought { 0 } else { (self.waited * 2).clamp(1, PATIENCE) };
            self.wait = self.waited;
        }
        // (A load that swings from one look to the next goes on.)
        let calm = held.abs_diff(std::mem::replace(&mut self.last, held)) < WORTH;
        self.more = if calm && beside - least >= WORTH { self.more + 1 } else { 0 };
        self.wait = self.wait.saturating_sub(1);
        if self.more < LOOKS || self.wait > 0 {
            return false;
        }
        (self.tried, self.more) = (Some(beside), 0);
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
    fn memory_is_given_back_when_a_load_has_ended() {
        let mut trimmer = Trimmer::default();
        let load = [(1, 30), (100, 140), (120, 160), (2, 160)];
        assert_eq!(looks(&mut trimmer, &load), [false; 4], "it has only just ended");
        assert_eq!(looks(&mut trimmer, &[(2, 160), (2, 160), (2, 36), (2, 36)]), [false, true, false, false]);
        assert_eq!(looks(&mut trimmer, &[(2, 90), (2, 90)]), [false, true], "and what comes later is");
    }

    #[test]
    fn what_could_not_be_had_once_is_tried_again_each_time_after_twice_as_long() {
        let mut trimmer = Trimmer::default();
        assert_eq!(looks(&mut trimmer, &[(1, 30), (2, 160), (2, 160)]), [false, false, true], "a moment too early");
        let tries: Vec<usize> = (0..400).filter(|_| trimmer.look(2 * MIB, 160 * MIB)).collect();
        let apart: Vec<usize> = tries.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!((tries[0], &apart[..8]), (1, &[2, 4, 8, 16, 32, 64, 64, 64][..]), "no more often, and no less");
        // What was in use then is free at last.
        while !trimmer.look(2 * MIB, 160 * MIB) {}
        assert_eq!(looks(&mut trimmer, &[(2, 32), (2, 120), (2, 120)]), [false, false, true], "as in the beginning");
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
