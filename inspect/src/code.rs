//! Where in a function a probe is cheap.
//!
//! The kernel emulates some instructions under a uprobe and single-steps the others, which costs some fifty times as much
//! (arch/x86/kernel/uprobes.c: `push`, `call`, `jmp`, `jcc`, `nop`). In front of a function's body most compilers leave one.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction};

/// Instructions that are looked at.
const MAX_INSTRUCTIONS: usize = 24;

/// The offset of the first instruction of a function that the kernel emulates: what stands behind it is not looked at, save
/// that a `push` or `nop` is preferred to a branch in front of it (Go's check of the stack, which a function passes again
/// when its stack had to grow). `None` if there is none near.
pub fn emulated(function: &[u8]) -> Option<u64> {
    let mut decoder = Decoder::with_ip(64, function, 0, DecoderOptions::NONE);
    let mut branch = None;
    for _ in 0..MAX_INSTRUCTIONS {
        if !decoder.can_decode() {
            break;
        }
        let instruction = decoder.decode();
        match instruction.code() {
            code if is_simple(code) => return Some(instruction.ip()),
            _ if instruction.is_jcc_short_or_near() => branch = branch.or(Some(instruction.ip())),
            _ if instruction.is_call_near() || instruction.is_jmp_short_or_near() => {
                return branch.or(Some(instruction.ip()));
            }
            code if goes_on(code) => {}
            _ => break,
        }
    }
    branch
}

/// The kernel emulates it, and goes on behind it. (Longer forms of `nop`, and of `push`, are single-stepped by older kernels.)
fn is_simple(code: Code) -> bool {
    matches!(code, Code::Push_r64 | Code::Nopw | Code::Nopd | Code::Nopq)
}

/// The kernel emulates it.
pub fn is_emulated(instruction: &Instruction) -> bool {
    is_simple(instruction.code())
        || instruction.is_jcc_short_or_near()
        || instruction.is_jmp_short_or_near()
        || instruction.is_call_near()
}

/// Whether what stands behind an instruction is surely executed after it.
fn goes_on(code: Code) -> bool {
    use Code::{INVALID, Int1, Int3, Retnq, Retnq_imm16, Syscall, Ud2};
    let indirect = matches!(code, Code::Jmp_rm64 | Code::Call_rm64 | Code::Jmp_m1664 | Code::Call_m1664);
    !indirect && !matches!(code, INVALID | Int1 | Int3 | Retnq | Retnq_imm16 | Syscall | Ud2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_push_behind_gos_check_of_the_stack_is_found() {
        // cmp rsp,[r14+16]; jbe +0x50; push rbp; mov rbp,rsp
        let code = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x50, 0x55, 0x48, 0x89, 0xe5];
        assert_eq!(emulated(&code), Some(6));
    }

    #[test]
    fn without_a_push_the_branch_is_taken() {
        // cmp rsp,[r14+16]; jbe +0x50; sub rsp,8; ret
        let code = [0x49, 0x3b, 0x66, 0x10, 0x76, 0x50, 0x48, 0x83, 0xec, 0x08, 0xc3];
        assert_eq!(emulated(&code), Some(4));
    }

    #[test]
    fn a_function_that_is_only_single_stepped_has_no_place() {
        for code in [&[0x48, 0x89, 0xf8, 0xc3][..], &[0xff, 0x30, 0xc3], &[0x68, 1, 0, 0, 0, 0xc3], &[0x06], &[]] {
            assert_eq!(emulated(code), None, "{code:x?}");
        }
    }

    #[test]
    fn nothing_behind_a_return_is_taken() {
        assert_eq!(emulated(&[0xc3, 0x55]), None);
    }
}
