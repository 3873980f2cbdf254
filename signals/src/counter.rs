//! How stages count what they saw and what they lost.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, save where it is set from a source that counts itself.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Replaces the value: for gauges, and for counts that the kernel keeps.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter's name, description and value.
pub type Reading = (&'static str, &'static str, u64);

/// What can be read of counters, whosever they are.
pub trait Readings: Send + Sync {
    /// Every counter's name, description and value, in a fixed order.
    fn snapshot(&self) -> Vec<Reading>;
}

/// Declares a struct of counters, one line each: `name: "what it counts",`. Its `snapshot` reads them all. Counters of
/// another crate can stand among them: `@name: Type = "whose",`.
#[macro_export]
macro_rules! counters {
    (
        $(#[$doc:meta])* $vis:vis struct $Counters:ident;
        $($name:ident: $help:literal,)*
        $(@$inner:ident: $Inner:ty = $whose:literal, $($after:ident: $after_help:literal,)*)*
    ) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        $vis struct $Counters {
            $(#[doc = $help] pub $name: $crate::Counter,)*
            $(
                #[doc = $whose] pub $inner: $Inner,
                $(#[doc = $after_help] pub $after: $crate::Counter,)*
            )*
        }

        impl $Counters {
            /// Every counter's name, description and value, in a fixed order.
            pub fn snapshot(&self) -> Vec<$crate::Reading> {
                let mut all: Vec<$crate::Reading> = Vec::new();
                let own: &[$crate::Reading] = &[$((stringify!($name), $help, self.$name.get()),)*];
                all.extend_from_slice(own);
                $(
                    all.extend(self.$inner.snapshot());
                    let after: &[$crate::Reading] = &[$((stringify!($after), $after_help, self.$after.get()),)*];
                    all.extend_from_slice(after);
                )*
                all
            }
        }

        impl $crate::Readings for $Counters {
            fn snapshot(&self) -> Vec<$crate::Reading> {
                self.snapshot()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    crate::counters! {
        /// Of one stage.
        struct Inner;
        b: "second",
    }
    crate::counters! {
        /// Of all.
        struct All;
        a: "first",
        @inner: Inner = "a stage's",
        c: "third",
    }

    #[test]
    fn a_stages_counters_stand_among_all_others_in_the_order_of_their_declaration() {
        let all = All::default();
        all.a.inc();
        all.inner.b.add(2);
        all.c.set(3);
        assert_eq!(all.snapshot(), [("a", "first", 1), ("b", "second", 2), ("c", "third", 3)]);
    }
}
