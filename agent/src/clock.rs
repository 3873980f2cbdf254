//! From the kernel's clock to the calendar.

use rustix::time::{ClockId, clock_gettime};

/// How far `CLOCK_BOOTTIME`, which events carry, is from Unix time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset: u64,
    measured: u64,
}

/// How long a measured offset is good for, nanoseconds: the wall clock may be set.
const VALID: u64 = 10_000_000_000;

impl Default for Clock {
    fn default() -> Self {
        Self { offset: measure(), measured: now() }
    }
}

impl Clock {
    /// What must be added to `CLOCK_BOOTTIME` for Unix time, nanoseconds.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Measures again if the last time is long ago.
    pub fn refresh(&mut self, now: u64) {
        if now.saturating_sub(self.measured) > VALID {
            *self = Self { offset: measure(), measured: now };
        }
    }
}

/// `CLOCK_BOOTTIME`, nanoseconds.
pub fn now() -> u64 {
    nanoseconds(ClockId::Boottime)
}

fn measure() -> u64 {
    // The reading with the shortest way between its two ends errs least.
    (0..5)
        .map(|_| {
            let (before, wall, after) = (now(), nanoseconds(ClockId::Realtime), now());
            (after - before, wall.wrapping_sub(before + (after - before) / 2))
        })
        .min()
        .map_or(0, |(_, offset)| offset)
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
