//! Where in a function a probe is cheap and still finds the first argument.

use iced_x86::{Decoder, DecoderOptions, Mnemonic, Register};

use crate::code;

/// The offset of such an instruction, at which the second argument is there too; `None` if there is none near.
pub fn place_of_two(function: &[u8]) -> Option<u64> {
    place_with(function, &[Register::RSI])
}

/// The same of the third.
pub fn place_of_three(function: &[u8]) -> Option<u64> {
    place_with(function, &[Register::RSI, Register::RDX])
}

fn place_with(function: &[u8], others: &[Register]) -> Option<u64> {
    let found = place(function)?;
    let decoder = Decoder::with_ip(64, function, 0, DecoderOptions::NONE);
    let mut before = decoder.into_iter().take_while(|instruction| instruction.ip() < found);
    let lost = before.any(|i| others.contains(&i.op0_register().full_register()));
    (!lost).then_some(found)
}

/// The offset of such an instruction; `None` if there is none near.
pub fn place(function: &[u8]) -> Option<u64> {
    let found = code::emulated(function)?;
    let decoder = Decoder::with_ip(64, function, 0, DecoderOptions::NONE);
    let before = decoder.into_iter().take_while(|instruction| instruction.ip() < found);
    // What stands first is what most instructions write to.
    let is_first = |register| matches!(register, Register::RDI | Register::EDI | Register::DI | Register::DIL);
    let only_reads = |mnemonic| matches!(mnemonic, Mnemonic::Cmp | Mnemonic::Test);
    let mut before = before.filter(|instruction| !only_reads(instruction.mnemonic()));
    let lost = before.any(|i| is_first(i.op0_register()) || matches!(i.mnemonic(), Mnemonic::Call | Mnemonic::Xchg));
    (!lost).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_push_at_the_beginning_is_taken() {
        // push rbx; mov rbx,rdi
        assert_eq!(place(&[0x53, 0x48, 0x89, 0xfb]), Some(0));
        // endbr64; push rbx
        assert_eq!(place(&[0xf3, 0x0f, 0x1e, 0xfa, 0x53]), Some(4));
    }

    #[test]
    fn an_argument_that_was_overwritten_before_is_lost() {
        // mov rdx,rbx; push rbx
        let third = [0x48, 0x89, 0xda, 0x53];
        assert_eq!((place_of_two(&third), place_of_three(&third)), (Some(3), None));
        // mov esi,ebx; push rbx
        let second = [0x89, 0xde, 0x53];
        assert_eq!((place(&second), place_of_two(&second), place_of_three(&second)), (Some(2), None, None));
    }

    #[test]
    fn a_branch_is_taken_while_the_argument_is_there_and_not_after() {
        // sub rsp,8; cmp qword [rdi+0x10],0; je +0x10
        assert_eq!(place(&[0x48, 0x83, 0xec, 0x08, 0x48, 0x83, 0x7f, 0x10, 0x00, 0x74, 0x10, 0xc3]), Some(9));
        // mov rdi,[rdi+0x10]; test rdi,rdi; je +0x10
        assert_eq!(place(&[0x48, 0x8b, 0x7f, 0x10, 0x48, 0x85, 0xff, 0x74, 0x10, 0xc3]), None);
    }
}
