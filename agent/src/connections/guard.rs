//! A defect in the reading of one connection takes that connection with it, and nothing else.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// This thread does guarded work.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Where it panicked.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From here on, guarded panics are not printed: who catches them says so, once. All others are printed as before.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |info| {
            if GUARDED.try_with(Cell::get).unwrap_or(false) {
                let _ = PLACE.try_with(|place| *place.borrow_mut() = describe(info));
            } else {
                others(info);
            }
        }));
    });
}

/// Where, and what if it is said in words of ours: a message that was put together may quote the bytes that were read.
fn describe(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    match info.payload().downcast_ref::<&'static str>() {
        Some(message) => format!("{place}: {message}"),
        None => place,
    }
}

/// Does some work on one connection. If it panics, says where: what it worked on is in no known state and must be
/// dropped.
///
/// # Errors
/// The place of the panic.
pub fn guarded<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    let before = GUARDED.replace(true);
    // Whoever calls this drops what the work may have left half done.
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    done.map_err(|_| PLACE.take())
}
