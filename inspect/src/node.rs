//! Where the loop of Node (`src/env.cc`) has the numbers of its work, and where pieces of that begin: in the executable, or in the
//! library that Debian makes of it. Addons link against these functions, so builds export them, stripped or not.
//!
//! Where what is in `Environment` differs from version to version. But the functions say it themselves: the ones that the loop
//! calls are given a part of it, and begin by going back to the whole; and one reads the first of the numbers.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Register};

use crate::place::place;
use crate::{Error, Image};

/// Runs what was left to be done, once in each turn of the loop: its export tells Node.
pub const IMMEDIATES: &str = "_ZN4node11Environment14CheckImmediateEP10uv_check_s";
const TIMERS: &str = "_ZN4node11Environment9RunTimersEP10uv_timer_s";
const ACCEPTED: [&str; 2] = [
    "_ZN4node14ConnectionWrapINS_7TCPWrapE8uv_tcp_sE12OnConnectionEP11uv_stream_si",
    "_ZN4node14ConnectionWrapINS_8PipeWrapE9uv_pipe_sE12OnConnectionEP11uv_stream_si",
];
const CONNECTED: [&str; 2] = [
    "_ZN4node14ConnectionWrapINS_7TCPWrapE8uv_tcp_sE12AfterConnectEP12uv_connect_si",
    "_ZN4node14ConnectionWrapINS_8PipeWrapE9uv_pipe_sE12AfterConnectEP12uv_connect_si",
];
/// Returns the number of the piece of work that runs.
const RUNS: &str = "_ZN4node29AsyncHooksGetExecutionAsyncIdEPN2v87IsolateE";

/// Bytes of a function that are looked at.
const CODE: usize = 256;
/// What is in an environment lies so near to its beginning, bytes.
const MAX_OFFSET: i64 = 1 << 16;

/// What begins at a place, with how far it is from the first argument there to the address of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// Timers that have run out.
    Timers(i32),
    /// What was left to be done.
    Immediates(i32),
    /// A connection was accepted.
    Accepted,
    /// One that was being opened is there.
    Connected,
}

/// Whether a file is Node, or has it in it.
///
/// # Errors
/// If its symbols make no sense.
pub fn is_node(image: &Image<'_>) -> Result<bool, Error> {
    Ok(image.exported(&[IMMEDIATES])?.contains_key(IMMEDIATES))
}

/// Offsets in the file of where it is probed, and what begins there: all of it, or nothing.
///
/// # Errors
/// If its symbols make no sense, one of the functions is not there, or not as known.
pub fn places(image: &Image<'_>) -> Result<Vec<(u64, Begins)>, Error> {
    let [accepted, accepted_pipe] = ACCEPTED;
    let [connected, connected_pipe] = CONNECTED;
    let names = [TIMERS, IMMEDIATES, accepted, accepted_pipe, connected, connected_pipe, RUNS];
    let exported = image.exported(&names)?;
    let code = |name: &'static str| -> Result<(u64, Vec<u8>), Error> {
        let (address, size) = exported.get(name).copied().ok_or(Error::Missing(name))?;
        Ok((address, image.bytes(address, CODE.min(size as usize))?))
    };
    let numbers = numbers(&code(RUNS)?.1).ok_or(Error::Missing("known way to the numbers of Node's work"))?;
    let from_part = |name| -> Result<i32, Error> {
        let back = way_back(&code(name)?.1).ok_or(Error::Missing("known way to Node's environment"))?;
        i32::try_from(numbers - back).map_err(|_| Error::Malformed("Node's environment"))
    };
    let begins = [
        (TIMERS, Begins::Timers(from_part(TIMERS)?)),
        (IMMEDIATES, Begins::Immediates(from_part(IMMEDIATES)?)),
        (accepted, Begins::Accepted),
        (accepted_pipe, Begins::Accepted),
        (connected, Begins::Connected),
        (connected_pipe, Begins::Connected),
    ];
    let at = |(name, begins)| {
        let (address, code) = code(name)?;
        let place = place(&code).ok_or(Error::Missing(name))?;
        Ok((image.file_offset(address + place).ok_or(Error::Malformed("the symbols"))?, begins))
    };
    begins.into_iter().map(at).collect()
}

fn decoded(code: &[u8]) -> Vec<Instruction> {
    Decoder::with_ip(64, code, 0, DecoderOptions::NONE).into_iter().collect()
}

/// How far a function goes back from its first argument to what that is a part of: `lea r, [rdi - N]`, the first.
fn way_back(code: &[u8]) -> Option<i64> {
    let found = decoded(code).into_iter().find(|i| {
        i.code() == Code::Lea_r64_m && i.memory_base() == Register::RDI && i.memory_index() == Register::None
    })?;
    let back = -(found.memory_displacement64() as i64);
    (0..MAX_OFFSET).contains(&back).then_some(back)
}

/// Where in an environment the address of the numbers is: what the first of them is returned through, `mov r, [env + N]` and
/// later `movsd xmm0, [r]`.
fn numbers(code: &[u8]) -> Option<i64> {
    let all = decoded(code);
    let load = all.iter().position(|i| {
        let plain = i.memory_displacement64() == 0 && i.memory_index() == Register::None;
        i.code() == Code::Movsd_xmm_xmmm64
            && i.op0_register() == Register::XMM0
            && plain
            && i.memory_base() != Register::None
    })?;
    let through = all.get(load)?.memory_base();
    let before = all.get(..load)?.iter().rev().find(|i| i.op0_register() == through)?;
    let at = before.memory_displacement64() as i64;
    let from_memory = before.code() == Code::Mov_r64_rm64 && before.memory_index() == Register::None;
    (from_memory && (1..MAX_OFFSET).contains(&at)).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Node 20.20.2 begins `Environment::CheckImmediate`.
    const CHECK: [u8; 20] = [
        0x55, 0x48, 0x89, 0xe5, 0x41, 0x57, 0x41, 0x56, 0x41, 0x55, 0x41, 0x54, 0x53, 0x48, 0x8d, 0x9f, 0x88, 0xfe,
        0xff, 0xff,
    ];
    /// As it ends `AsyncHooksGetExecutionAsyncId`.
    const HOOKS: [u8; 18] =
        [0x49, 0x8b, 0x84, 0x24, 0x80, 0x04, 0x00, 0x00, 0x4c, 0x8b, 0x65, 0xf8, 0xf2, 0x0f, 0x10, 0x00, 0xc9, 0xc3];

    #[test]
    fn functions_say_where_the_numbers_are() {
        assert_eq!(way_back(&CHECK), Some(0x178));
        assert_eq!(numbers(&HOOKS), Some(0x480));
    }

    #[test]
    fn what_is_not_as_known_is_not_guessed() {
        // lea rbx,[rdi+0x178]: forward.
        let mut forward = CHECK;
        forward[16..].copy_from_slice(&[0x78, 0x01, 0, 0]);
        assert_eq!(way_back(&forward), None);
        assert_eq!(way_back(&[0x55, 0xc3]), None);
        // The address is not from memory: lea rax,[r12+0x480].
        let mut other = HOOKS;
        other[1] = 0x8d;
        assert_eq!(numbers(&other), None);
        assert_eq!(numbers(&HOOKS[8..]), None);
    }

    #[test]
    fn a_program_that_is_not_node_is_none() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let image = Image::parse(&file).unwrap();
        assert!(!is_node(&image).unwrap());
        assert!(matches!(places(&image), Err(Error::Missing(_))));
    }
}
