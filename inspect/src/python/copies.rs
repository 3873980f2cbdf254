//! Where a function that copies a context has the copy in a register, at an instruction that the kernel emulates.
//!
//! What a function returns, only its end tells, and a probe on that is dear, and dangerous where stacks move. But what is made is
//! checked where it is made (`call`, `test rax, rax`, `je`), or handed to what counts it (`mov rdi, rbx`, `call`), and both are
//! emulated. How a compiler inlines such functions is not known, so every such place in reach is told: whoever looks there must
//! see for itself whether it is a context, and a new one.

use std::collections::{BTreeMap, HashSet};

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use crate::{Error, Source};

/// Instructions that are looked at.
const MAX_INSTRUCTIONS: usize = 400;
/// Places that such a function has at most.
const MAX_PLACES: usize = 12;
/// The longest instruction.
const LONGEST: usize = 15;
/// Lengths of those that the kernel emulates: with a prefix it does not.
const CALL: usize = 5;
const BRANCHES: [usize; 2] = [2, 6];

/// Which register has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// That of a result.
    Result,
    /// That of the first argument.
    Argument,
}

/// The places in a function of a file, by where it begins, and what leads on from it: instructions by where they are in the file.
///
/// # Errors
/// If there is none, or too many.
pub fn places(file: &dyn Source, function: u64) -> Result<Vec<(u64, Holds)>, Error> {
    let mut walk = Walk { file, seen: HashSet::new(), todo: vec![function], found: BTreeMap::new() };
    while let Some(at) = walk.todo.pop() {
        walk.follow(at);
    }
    match walk.found.len() {
        1..=MAX_PLACES => Ok(walk.found.into_iter().collect()),
        0 => Err(Error::Missing("place where a copied context can be seen")),
        _ => Err(Error::TooLarge("what copies a context")),
    }
}

/// What is known of registers between two instructions.
#[derive(Default)]
struct Known {
    /// Which call returned what is in `rax`.
    returned: Option<u64>,
    /// The flags say whether that is 0.
    tested: bool,
    /// `rdi` was set from another register.
    passed: bool,
}

struct Walk<'a> {
    file: &'a dyn Source,
    seen: HashSet<u64>,
    todo: Vec<u64>,
    found: BTreeMap<u64, Holds>,
}

impl Walk<'_> {
    /// Goes on from a place to where the flow ends or joins what was seen.
    fn follow(&mut self, from: u64) {
        let (mut at, mut known) = (from, Known::default());
        while self.seen.len() < MAX_INSTRUCTIONS && self.seen.insert(at) {
            let Some(instruction) = self.instruction(at) else { return };
            self.look(&instruction, &mut known);
            match instruction.flow_control() {
                FlowControl::Next | FlowControl::Call => {}
                FlowControl::ConditionalBranch => self.todo.push(instruction.near_branch_target()),
                FlowControl::UnconditionalBranch => return self.todo.push(instruction.near_branch_target()),
                _ => return,
            }
            at = instruction.next_ip();
        }
    }

    fn instruction(&self, at: u64) -> Option<Instruction> {
        let mut bytes = [0; LONGEST];
        let instruction = match self.file.read_at(at, &mut bytes) {
            true => Decoder::with_ip(64, &bytes, at, DecoderOptions::NONE).decode(),
            false => return None,
        };
        (!instruction.is_invalid()).then_some(instruction)
    }

    fn look(&mut self, instruction: &Instruction, known: &mut Known) {
        let (at, first) = (instruction.ip(), instruction.op0_register().full_register());
        let is_first = |register| instruction.op0_kind() == OpKind::Register && first == register;
        match instruction.mnemonic() {
            Mnemonic::Call => {
                if known.passed && instruction.is_call_near() && instruction.len() == CALL {
                    self.found.insert(at, Holds::Argument);
                }
                *known = Known { returned: instruction.is_call_near().then_some(at), ..Known::default() };
            }
            Mnemonic::Test if is_first(Register::RAX) && instruction.op1_register() == Register::RAX => {
                known.tested = known.returned.is_some();
            }
            Mnemonic::Je | Mnemonic::Jne if known.tested && BRANCHES.contains(&instruction.len()) => {
                self.found.insert(at, Holds::Result);
                // What that call was given is not what it made.
                known.returned.take().map(|call| self.found.remove(&call));
                known.tested = false;
            }
            mnemonic => {
                if is_first(Register::RDI) {
                    known.passed = mnemonic == Mnemonic::Mov && instruction.op1_kind() == OpKind::Register;
                }
                if is_first(Register::RAX) {
                    known.returned = None;
                }
                known.tested &= matches!(mnemonic, Mnemonic::Mov | Mnemonic::Lea) && !is_first(Register::RAX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_seen_where_it_is_checked_and_where_it_is_counted() {
        // push rbx; call +0; mov rbx,rax; test rax,rax; je +7; mov rdi,rbx; call +0; ret
        let code: &[u8] = &[
            0x53, 0xe8, 0, 0, 0, 0, 0x48, 0x89, 0xc3, 0x48, 0x85, 0xc0, 0x74, 0x08, 0x48, 0x89, 0xdf, 0xe8, 0, 0, 0, 0,
            0xc3,
        ];
        let mut file = code.to_vec();
        file.resize(64, 0xcc);
        assert_eq!(places(&file, 0), Ok(vec![(12, Holds::Result), (17, Holds::Argument)]));
        // It goes on elsewhere: jmp to it.
        file[40..45].copy_from_slice(&[0xe9, 0xd3, 0xff, 0xff, 0xff]);
        assert_eq!(places(&file, 40), Ok(vec![(12, Holds::Result), (17, Holds::Argument)]));
    }

    #[test]
    fn what_makes_nothing_has_no_place_and_the_search_ends() {
        // ret; jmp itself; jmp out of the file; nothing that can be decoded
        for code in [&[0xc3][..], &[0xeb, 0xfe], &[0xe9, 0, 0, 0, 0x7f], &[0x06], &[]] {
            let mut file = code.to_vec();
            file.resize(32, 0xc3);
            assert_eq!(places(&file, 0), Err(Error::Missing("place where a copied context can be seen")));
        }
        assert!(places(&vec![0x53_u8; 10_000], 0).is_err());
        assert!(places(&vec![0x53_u8; 8], u64::MAX - 3).is_err());
    }
}
