//! The VM's threads, and where a thread of the system keeps the address of its own.

use super::table::Structures;
use crate::Error;

/// A thread's own memory, as glibc lays it out (x86-64): the addresses of its modules' blocks, which begin with how many there
/// are; and its own address.
const BLOCKS: u64 = 8;
const BLOCK: u64 = 16;
const ITSELF: u64 = 16;
/// A block that the thread has not used.
const UNUSED: u64 = u64::MAX;
/// Blocks that are looked at.
const MAX_BLOCKS: u64 = 256;
/// Bytes of a block that are looked at.
const MAX_LOCAL: u64 = 4096;
/// Threads that are looked at.
const MAX_THREADS: u32 = 256;
/// So many must agree; each VM has more of its own.
pub(super) const MIN_THREADS: usize = 4;

/// The addresses of the VM's threads, as the list has them now.
///
/// # Errors
/// If that cannot be read.
pub(super) fn list(vm: &Structures<'_>) -> Result<Vec<u64>, Error> {
    let list = vm.value("ThreadsSMRSupport", "_java_thread_list")?;
    let count = vm.half(list.wrapping_add(vm.offset("ThreadsList", "_length")?.into()))?.min(MAX_THREADS);
    let threads = vm.word(list.wrapping_add(vm.offset("ThreadsList", "_threads")?.into()))?;
    (0..u64::from(count)).map(|n| vm.word(threads.wrapping_add(n * 8))).collect()
}

/// Which block of a thread, and where in it, has the address of the VM's thread: the one place that has it in all of them.
///
/// # Errors
/// If there is none, or more than one, or not enough threads to tell yet.
pub(super) fn place(vm: &Structures<'_>, threads: &[u64], thread_local: u64) -> Result<(u32, u32), Error> {
    let osthread = vm.offset("JavaThread", "_osthread").or_else(|_| vm.offset("Thread", "_osthread"))?;
    let pthread = vm.offset("OSThread", "_pthread_id")?;
    let mut left: Option<Vec<(u32, u32)>> = None;
    let mut seen = 0;
    for thread in threads {
        // (One that ends meanwhile says nothing.)
        let own = vm.word(thread.wrapping_add(osthread.into()));
        let Ok(own) = own.and_then(|own| vm.word(own.wrapping_add(pthread.into()))) else { continue };
        let Ok(itself) = vm.word(own.wrapping_add(ITSELF)) else { continue };
        if itself != own {
            return Err(Error::Missing("glibc's memory of each thread"));
        }
        let Ok(found) = places(vm, own, *thread, thread_local.min(MAX_LOCAL)) else { continue };
        seen += 1;
        left = Some(left.map_or_else(|| found.clone(), |left| both(left, &found)));
    }
    match left.as_deref() {
        Some([place]) if seen >= MIN_THREADS => Ok(*place),
        _ => Err(Error::Unreadable("what every thread knows of the Java VM")),
    }
}

fn both(left: Vec<(u32, u32)>, found: &[(u32, u32)]) -> Vec<(u32, u32)> {
    left.into_iter().filter(|place| found.contains(place)).collect()
}

/// All places in a thread's blocks that have a word.
fn places(vm: &Structures<'_>, own: u64, word: u64, local: u64) -> Result<Vec<(u32, u32)>, Error> {
    let blocks = vm.word(own.wrapping_add(BLOCKS))?;
    let count = vm.word(blocks.wrapping_sub(BLOCK))?.min(MAX_BLOCKS);
    let mut found = Vec::new();
    for number in 1..=count {
        let block = vm.word(blocks.wrapping_add(number * BLOCK))?;
        if block == UNUSED || block == 0 {
            continue;
        }
        let fits = |at: &u64| vm.word(block.wrapping_add(*at)) == Ok(word);
        found.extend((0..local).step_by(8).filter(fits).map(|at| (number as u32, at as u32)));
    }
    Ok(found)
}
