//! Objects of threads on the heap: where in them their number is, and whether they stay where they are while threads run.

use super::Objects;
use super::table::Structures;
use super::threads::MIN_THREADS;
use crate::Error;

/// Flags of collectors that move nothing while threads run.
const STILL: [&str; 4] = ["UseG1GC", "UseParallelGC", "UseSerialGC", "UseEpsilonGC"];
/// Flags that are looked at.
const MAX_FLAGS: u64 = 4096;
/// Where in an object of a thread the address of the VM's thread may be, behind its head: `Thread.eetop`. The number, `tid`,
/// follows it.
const EETOP: [u64; 2] = [16, 8];
/// Threads that the VM has from its beginning have numbers below this; so many of them are there.
const EARLY: u64 = 100;
/// No number is as large.
const MAX_NUMBER: u64 = 1 << 40;

/// What must be known of the heap.
///
/// # Errors
/// If its collector moves objects while threads run, or the numbers of threads are not where they should be.
pub(super) fn objects(vm: &Structures<'_>, threads: &[u64]) -> Result<Objects, Error> {
    if !is_still(vm)? {
        return Err(Error::Missing("collector that leaves the heap alone while threads run (before JDK 25)"));
    }
    let collecting = vm.offset("CollectedHeap", "_is_stw_gc_active");
    let collecting = collecting.or_else(|_| vm.offset("CollectedHeap", "_is_gc_active"))?;
    let own = vm.offset("JavaThread", "_threadObj")?;
    if vm.offset("JavaThread", "_vthread")? != own + 8 || vm.offset("OopHandle", "_obj")? != 0 {
        return Err(Error::Missing("known place of a thread's objects"));
    }
    Ok(Objects {
        own,
        number: number(vm, threads, own)?,
        heap: vm.value("Universe", "_collectedHeap")?,
        collecting,
        collections: vm.offset("CollectedHeap", "_total_collections")?,
    })
}

/// Whether the VM was started with one of the collectors that move nothing while threads run.
fn is_still(vm: &Structures<'_>) -> Result<bool, Error> {
    let (flags, count) = (vm.value("JVMFlag", "flags")?, vm.value("JVMFlag", "numFlags")?);
    let (size, name, set) = (vm.flag_size()?, vm.offset("JVMFlag", "_name")?, vm.offset("JVMFlag", "_addr")?);
    for n in 0..count.min(MAX_FLAGS) {
        let flag = flags.wrapping_add(n * size);
        let Ok(named) = vm.word(flag.wrapping_add(name.into())) else { continue };
        if STILL.iter().any(|still| vm.is_named(named, still))
            && vm.bytes(vm.word(flag.wrapping_add(set.into()))?)? == [1]
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where in the object of a thread its number is: behind the address of the VM's thread, in all objects; all of them differ, and
/// those that the VM has from its beginning are small.
fn number(vm: &Structures<'_>, threads: &[u64], own: u32) -> Result<u32, Error> {
    for at in EETOP {
        let mut numbers: Vec<u64> = Vec::new();
        for thread in threads {
            let handle = vm.word(thread.wrapping_add(own.into())).and_then(|handle| vm.word(handle));
            let Ok(object) = handle else { continue };
            if vm.word(object.wrapping_add(at)) == Ok(*thread) {
                numbers.push(vm.word(object.wrapping_add(at + 8))?);
            }
        }
        let (all, early) = (numbers.len(), numbers.iter().filter(|n| **n < EARLY).count());
        let possible = numbers.iter().all(|n| (1..MAX_NUMBER).contains(n));
        numbers.sort_unstable();
        numbers.dedup();
        // (One may have been moved while it was looked at.)
        if all + 1 >= threads.len() && early >= MIN_THREADS && possible && numbers.len() == all {
            return Ok(at as u32 + 8);
        }
    }
    Err(Error::Unreadable("the numbers of the Java VM's threads"))
}
