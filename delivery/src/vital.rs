//! Whether every stage lives. A stage that panics cannot be mended from inside: what it held is gone, and an agent without
//! it would look alive and do nothing. So the agent ends, with a status that is not 0, and whoever supervises it starts
//! it anew.

use std::sync::OnceLock;

/// The first stage that was lost.
static LOST: OnceLock<&'static str> = OnceLock::new();

/// Lives as long as a stage does.
#[derive(Debug)]
pub struct Vital(&'static str);

impl Vital {
    /// To be held by the thread or the task that is this stage, until it ends.
    pub fn of(stage: &'static str) -> Self {
        Self(stage)
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The first says why.
            let _ = LOST.set(self.0);
        }
    }
}

/// A stage that ended by a panic, if one did.
pub fn lost() -> Option<&'static str> {
    LOST.get().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: what is lost is lost for the whole process.
    #[test]
    fn a_thread_or_task_that_panics_is_lost_and_one_that_ends_is_not() {
        std::thread::spawn(|| drop(Vital::of("thread that ends"))).join().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ends = runtime.spawn(async {
            let _vital = Vital::of("task that ends");
            tokio::task::yield_now().await;
        });
        runtime.block_on(ends).unwrap();
        assert_eq!(lost(), None);
        let panics = runtime.spawn(async {
            let _vital = Vital::of("task that panics");
            tokio::task::yield_now().await;
            panic!("on purpose");
        });
        assert!(runtime.block_on(panics).is_err());
        assert_eq!(lost(), Some("task that panics"));
        let panics = std::thread::spawn(|| {
            let _vital = Vital::of("thread that panics");
            panic!("on purpose");
        });
        assert!(panics.join().is_err());
        assert_eq!(lost(), Some("task that panics"), "the first is named");
    }
}
