//! Where goroutines are made, and where they end: functions of Go's runtime.

use iced_x86::{Code, Instruction, OpKind, Register};
use wirespan_common::go_place as place;

use super::Function;
use super::probes::{Probe, entry};
use crate::flow;
use crate::image::Image;
use crate::tls::writes;
use crate::{Error, code};

const MAKES: &str = "runtime.newproc1";
const ENDS: &str = "runtime.goexit1";
/// Instructions between the one that numbers a goroutine and a place for a probe.
const MAX_BETWEEN: usize = 16;

/// Whether it is one of those functions.
pub(super) fn is_called(name: &str) -> bool {
    [MAKES, ENDS].contains(&name)
}

/// Where a goroutine has its number, the place of its `go` statement, and its registers; and where in these its frame pointer is.
pub(super) const FIELDS: [&[(&str, &str)]; 4] =
    [&[("runtime.g", "goid")], &[("runtime.g", "gopc")], &[("runtime.g", "sched")], &[("runtime.gobuf", "bp")]];

/// What is to be probed so that it is known who made a goroutine, and that one is gone: both places, or none. `fields` are the
/// offsets of [`FIELDS`].
///
/// # Errors
/// If one cannot be probed.
pub(super) fn births(image: &Image<'_>, functions: &[Function], fields: [Option<u16>; 4]) -> Result<[Probe; 2], Error> {
    let find = |name: &str| functions.iter().find(|function| function.name == name);
    let (Some(makes), Some(ends), [Some(number), Some(site), Some(registers), Some(frame)]) =
        (find(MAKES), find(ENDS), fields)
    else {
        return Err(Error::Missing("way in which goroutines are made that is known"));
    };
    let function = flow::Function::read(image, makes.address)?;
    let (address, register) =
        numbered(&function, number).ok_or(Error::Missing("cheap place behind that which numbers a goroutine"))?;
    let offset = image.file_offset(address).ok_or(Error::Unreadable("a place"))?;
    let frame = registers.checked_add(frame).ok_or(Error::TooLarge("a goroutine"))?;
    let made = Probe { offset, cookie: place::made(register, frame, site) };
    let offset = entry(image, ends).ok_or(Error::Missing("cheap place where a goroutine ends"))?;
    // (They are attached in this order: of whichever it is told that it was made, it is told that it ends.)
    Ok([Probe { offset, cookie: place::cookie(place::ENDS, 0, 0) }, made])
}

/// Behind the only instruction that gives a goroutine its number: the next that the kernel emulates, while the register that
/// has the goroutine's address still has it; and that register's number.
fn numbered(function: &flow::Function, number: u16) -> Option<(u64, u16)> {
    let is_store = |i: &&Instruction| {
        i.code() == Code::Mov_rm64_r64
            && i.op0_kind() == OpKind::Memory
            && i.memory_index() == Register::None
            && i.memory_base().is_gpr64()
            && ![Register::RSP, Register::RBP].contains(&i.memory_base())
            && i.memory_displacement64() == u64::from(number)
    };
    let mut stores = function.instructions().filter(is_store);
    let (Some(store), None) = (stores.next(), stores.next()) else { return None };
    let goroutine = store.memory_base();
    let mut at = store.next_ip();
    for _ in 0..MAX_BETWEEN {
        let instruction = function.at(at)?;
        if code::is_emulated(instruction) {
            return Some((at, u16::try_from(goroutine.number()).ok()?));
        }
        if writes(instruction, goroutine) {
            return None;
        }
        at = instruction.next_ip();
    }
    None
}
