//! Memory goes back to the system when a load ends.
//!
//! The allocator keeps what it is given back, in case it is asked again: after a burst the agent would look as large as
//! at its height for ever. So it is told to let go when much less is held than was: not while a load goes on, for what it
//! lets go of must be asked for anew.

/// Less than so much is not worth the work, bytes.
const WORTH: usize = 8 << 20;
/// For so many looks in a row less must be held.
const LOOKS: u32 = 2;

/// Watches how much is held.
#[derive(Debug, Default)]
pub struct Trimmer {
    high: usize,
    /// What was held at the last look.
    last: usize,
    /// Looks in a row at which much less was held than once.
    lower: u32,
}

impl Trimmer {
    /// Looks at how much is held now. Whether it is time to give memory back.
    pub fn look(&mut self, held: usize) -> bool {
        // (A load that swings from one look to the next goes on.)
        let calm = held.abs_diff(self.last) < WORTH;
        self.last = held;
        self.high = self.high.max(held);
        if self.high - held < WORTH || !calm {
            self.lower = 0;
            return false;
        }
        self.lower += 1;
        if self.lower < LOOKS {
            return false;
        }
        *self = Self { high: held, last: held, lower: 0 };
        true
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

    fn looks(trimmer: &mut Trimmer, held: &[usize]) -> Vec<bool> {
        held.iter().map(|mib| trimmer.look(mib * MIB)).collect()
    }

    #[test]
    fn memory_is_given_back_once_when_a_load_has_ended() {
        let mut trimmer = Trimmer::default();
        assert_eq!(
            looks(&mut trimmer, &[1, 100, 120, 2, 2, 2, 2, 2]),
            [false, false, false, false, false, true, false, false]
        );
        assert_eq!(looks(&mut trimmer, &[60, 1, 1, 1]), [false, false, false, true], "and again after the next");
    }

    #[test]
    fn nothing_is_given_back_while_a_load_goes_on() {
        let mut trimmer = Trimmer::default();
        assert!(looks(&mut trimmer, &[100, 20, 90, 30, 110, 50, 100]).iter().all(|trims| !trims));
    }
}
