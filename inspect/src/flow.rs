//! The instructions of a function, as far as control can get to them from its first one.

use std::collections::BTreeMap;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

use crate::image::{Image, Machine};
use crate::{Error, Source as _};

/// Instructions of a function, at most.
const MAX_INSTRUCTIONS: usize = 8192;
/// Bytes that are read at once.
const PIECE: usize = 2048;
/// Pieces that are read, at most.
const MAX_PIECES: usize = 64;
/// The longest instruction, bytes.
const LONGEST: usize = 15;

/// A function: what it tail-calls belongs to it.
#[derive(Debug, Default)]
pub struct Function {
    instructions: BTreeMap<u64, Instruction>,
}

impl Function {
    /// Reads a function of x86-64 by its address.
    ///
    /// # Errors
    /// If it is not all there, is larger than any, or makes no sense.
    pub fn read(image: &Image<'_>, address: u64) -> Result<Self, Error> {
        Self::read_all(image, address, 0)
    }

    /// The same of one whose size is known: also what only a table of addresses leads to.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_all(image: &Image<'_>, address: u64, size: u64) -> Result<Self, Error> {
        if image.machine != Machine::X86_64 {
            return Err(Error::Missing("code of x86-64"));
        }
        let mut code = Code { image, pieces: Vec::new() };
        let mut function = Self::default();
        let within = address..address.saturating_add(size);
        let mut waiting = vec![address];
        while let Some(from) = waiting.pop() {
            let end = image.function_end(from);
            let mut at = from;
            while at < end && !function.instructions.contains_key(&at) {
                if function.instructions.len() >= MAX_INSTRUCTIONS {
                    return Err(Error::TooLarge("a function"));
                }
                let instruction = code.decode(at)?;
                function.instructions.insert(at, instruction);
                let flow = instruction.flow_control();
                if matches!(flow, FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch) {
                    waiting.push(instruction.near_branch_target());
                }
                let goes_on = matches!(
                    flow,
                    FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall | FlowControl::ConditionalBranch
                );
                if !goes_on && !within.contains(&instruction.next_ip()) {
                    break;
                }
                at = instruction.next_ip();
            }
        }
        Ok(function)
    }

    /// What is there at an address.
    #[cfg(test)]
    pub fn of(address: u64, code: &[u8]) -> Self {
        let decoder = iced_x86::Decoder::with_ip(64, code, address, iced_x86::DecoderOptions::NONE);
        Self { instructions: decoder.into_iter().map(|i| (i.ip(), i)).collect() }
    }

    /// All of them, by address.
    pub fn instructions(&self) -> impl Iterator<Item = &Instruction> {
        self.instructions.values()
    }

    /// The one at an address.
    pub fn at(&self, address: u64) -> Option<&Instruction> {
        self.instructions.get(&address)
    }

    /// The one that stands directly in front of an address.
    pub fn before(&self, address: u64) -> Option<&Instruction> {
        self.instructions.range(..address).next_back().map(|(_, before)| before).filter(|b| b.next_ip() == address)
    }
}

/// Code, read in pieces.
struct Code<'i, 'a> {
    image: &'i Image<'a>,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Code<'_, '_> {
    fn decode(&mut self, at: u64) -> Result<Instruction, Error> {
        let holds = |(from, bytes): &&(u64, Vec<u8>)| at >= *from && at - from + LONGEST as u64 <= bytes.size();
        if self.pieces.iter().find(holds).is_none() {
            self.read(at)?;
        }
        let (from, bytes) =
            self.pieces.iter().find(holds).or(self.pieces.last()).ok_or(Error::Unreadable("a function"))?;
        let rest = at.checked_sub(*from).and_then(|skip| bytes.get(skip as usize..)).unwrap_or_default();
        let instruction = Decoder::with_ip(64, rest, at, DecoderOptions::NONE).decode();
        match instruction.is_invalid() {
            true => Err(Error::Malformed("a function's code")),
            false => Ok(instruction),
        }
    }

    fn read(&mut self, at: u64) -> Result<(), Error> {
        if self.pieces.len() >= MAX_PIECES {
            return Err(Error::TooLarge("a function"));
        }
        // What is loaded may end soon.
        let sizes = [PIECE, 256, LONGEST + 1, 4, 1];
        let bytes = sizes.iter().find_map(|size| self.image.bytes(at, *size).ok());
        self.pieces.push((at, bytes.ok_or(Error::Unreadable("a function"))?));
        Ok(())
    }
}
