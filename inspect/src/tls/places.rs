//! Where a function of x86-64 is entered with its arguments in their registers, and where it leaves with its result in one: at
//! instructions that the kernel emulates.

use iced_x86::{
    Code, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

use wirespan_common::tls_place::ANY;

use super::Places;
use super::returns::compared;
use crate::code::is_emulated;
use crate::flow::Function;
use crate::{Error, Image};

/// Bytes, and instructions, of a function's beginning that are looked at.
const BEGINNING: usize = 64;
const MAX_BEGINNING: usize = 24;
/// Instructions between a comparison and the branch that depends on it.
const MAX_BETWEEN: usize = 4;
/// Where the guard of the stack is (`%fs:0x28`).
const GUARD: u64 = 0x28;

/// Where a function is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enters {
    /// The address of the instruction.
    pub address: u64,
    /// From the stack pointer there up to the address that the function returns to, in words.
    pub words: u16,
    /// The fourth argument is in the register of the fifth by then.
    pub moved: bool,
}

/// Where a function leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// The address of the instruction.
    pub address: u64,
    /// As of [`Enters`]; or from the frame pointer.
    pub words: u16,
    /// It is the frame pointer.
    pub framed: bool,
    /// The number of the register that holds the result.
    pub register: u8,
    /// With which results, as of [`Returns`](super::returns::Returns).
    pub results: u8,
}

/// Where the function at an address is entered.
pub fn enters_at(image: &Image<'_>, address: u64, arguments: usize, places: Places) -> Result<Enters, Error> {
    let code = image.bytes(address, BEGINNING)?;
    let cheap = enters(&code, address, arguments);
    let first = || (places == Places::Any).then(|| begins(&code, address)).flatten();
    cheap.or_else(first).ok_or(Error::Missing("cheap place to see a call"))
}

/// The first instruction of a function that does something, whatever that costs.
fn begins(code: &[u8], address: u64) -> Option<Enters> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let first = decoder.iter().take(2).find(|i| i.code() != Code::Endbr64).filter(|i| !i.is_invalid())?;
    Some(Enters { address: first.ip(), words: 0, moved: false })
}

/// Where a function returns, whatever that costs.
pub fn ends(function: &Function) -> Vec<Leaves> {
    let all = function.instructions().filter(|i| i.code() == Code::Retnq);
    all.map(|i| Leaves { address: i.ip(), words: 0, framed: false, register: 0, results: ANY }).collect()
}

/// Where a function whose code begins with these bytes is entered; `arguments`: how many it has.
pub fn enters(code: &[u8], address: u64, arguments: usize) -> Option<Enters> {
    use Register::{R8, RCX, RDI, RDX, RSI};
    let mut kept: Vec<Register> = [RDI, RSI, RDX, RCX, R8].into_iter().take(arguments).collect();
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let (mut bytes, mut moved) = (0_u64, false);
    for _ in 0..MAX_BEGINNING {
        if !decoder.can_decode() {
            return None;
        }
        let instruction = decoder.decode();
        if is_emulated(&instruction) {
            return Some(Enters { address: instruction.ip(), words: words(bytes)?, moved });
        }
        if instruction.code() == Code::Endbr64 {
            continue;
        }
        if arguments == 4 && copies(&instruction) == Some((R8, RCX)) {
            (moved, kept) = (true, vec![RDI, RSI, RDX, R8]);
            continue;
        }
        if instruction.is_invalid() || instruction.flow_control() != iced_x86::FlowControl::Next {
            return None;
        }
        match instruction.code() {
            Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 if instruction.op0_register() == Register::RSP => {
                bytes = bytes.checked_add(instruction.immediate(1))?;
            }
            _ if writes(&instruction, Register::RSP) => return None,
            _ if kept.iter().any(|register| writes(&instruction, *register)) => return None,
            _ => {}
        }
    }
    None
}

/// Where a function leaves, as far as it can be told: places at which it leaves for sure, or at which the branch depends on the
/// result, and it leaves if that is 1; and branches to its end that are taken with some results only.
pub fn leaves(function: &Function) -> Vec<Leaves> {
    let mut found = Vec::new();
    for last in function.instructions().filter(|i| matches!(i.code(), Code::Retnq)) {
        let run = run_up_to(function, last);
        let Some(first) = run.first() else { continue };
        if let Some(branch) = function.before(first.ip()).filter(|i| i.is_jcc_short_or_near())
            && let Some(end) = end(&run)
            && depends(function, branch, end.result)
        {
            found.extend(end.at(branch, ANY));
        }
        let end_at = |jump: &Instruction| {
            let at = run.iter().position(|i| i.ip() == jump.near_branch_target())?;
            end(&run[at..])
        };
        for branch in function.instructions().filter(|i| i.is_jcc_short_or_near()) {
            if let Some((equal, results)) = compared(function, branch)
                && let Some(end) = end_at(branch).filter(|end| equal & bit(end.result) != 0)
            {
                found.extend(end.at(branch, results));
            }
        }
        for jump in function.instructions().filter(|i| i.is_jmp_short_or_near()) {
            found.extend(end_at(jump).and_then(|end| end.at(jump, ANY)));
        }
    }
    found.sort_unstable_by_key(|leave| leave.address);
    found.dedup_by_key(|leave| leave.address);
    found
}

/// How a function ends.
#[derive(Clone, Copy)]
struct End {
    /// What holds the result before.
    result: Register,
    /// From the stack pointer, or the frame pointer, to where it returns.
    bytes: u64,
    framed: bool,
}

impl End {
    fn at(self, instruction: &Instruction, results: u8) -> Option<Leaves> {
        let register = u8::try_from(self.result.number()).ok()?;
        Some(Leaves { address: instruction.ip(), words: words(self.bytes)?, framed: self.framed, register, results })
    }
}

fn words(bytes: u64) -> Option<u16> {
    u16::try_from(bytes / 8).ok().filter(|words| bytes.is_multiple_of(8) && *words <= 0xfff)
}

/// Everything in front of an instruction that is surely executed with it, and itself.
fn run_up_to<'f>(function: &'f Function, last: &'f Instruction) -> Vec<&'f Instruction> {
    let mut run = vec![last];
    while let Some(before) = run.last().and_then(|i| function.before(i.ip()))
        && before.flow_control() == iced_x86::FlowControl::Next
    {
        run.push(before);
    }
    run.reverse();
    run
}

/// How it is in front of a run up to a function's return. `None` if the run itself makes the result.
fn end(run: &[&Instruction]) -> Option<End> {
    let (mut bytes, mut framed) = (0_u64, false);
    let run = &run[..run.len().saturating_sub(1)];
    for instruction in run {
        match instruction.code() {
            Code::Add_rm64_imm8 | Code::Add_rm64_imm32 if instruction.op0_register() == Register::RSP => {
                bytes = bytes.checked_add(instruction.immediate(1))?;
            }
            Code::Pop_r64 => bytes = bytes.checked_add(8)?,
            // With a frame pointer the stack pointer is set anew: behind where it points to is what it was before, and then
            // where the function returns to.
            Code::Leaveq => (framed, bytes) = (true, 8),
            Code::Lea_r64_m if instruction.op0_register() == Register::RSP => {
                (framed, bytes) = ((instruction.memory_base() == Register::RBP).then_some(true)?, 8);
            }
            _ if writes(instruction, Register::RSP) => return None,
            _ => {}
        }
    }
    let mut result = Register::RAX;
    for instruction in run.iter().rev().filter(|i| !matches!(i.code(), Code::Leaveq)) {
        if writes(instruction, result) {
            result = copies(instruction).filter(|(to, _)| *to == result)?.1;
        }
    }
    Some(End { result, bytes: if framed { 8 } else { bytes }, framed })
}

/// Whether a branch is taken or not by what is in a register, or by whether the stack's guard is sound.
fn depends(function: &Function, branch: &Instruction, register: Register) -> bool {
    let mut at = branch.ip();
    for _ in 0..MAX_BETWEEN {
        let Some(before) = function.before(at) else { return false };
        let operands = [before.op0_kind(), before.op1_kind()];
        let guard = operands.contains(&OpKind::Memory)
            && before.memory_segment() == Register::FS
            && before.memory_displacement64() == GUARD;
        match before.mnemonic() {
            Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Sub | Mnemonic::Xor if guard => return true,
            Mnemonic::Cmp | Mnemonic::Test => return before.op0_register().full_register() == register,
            Mnemonic::Mov | Mnemonic::Lea => at = before.ip(),
            _ => return false,
        }
    }
    false
}

/// From which register to which an instruction copies a value, at least its lower half.
pub(super) fn copies(instruction: &Instruction) -> Option<(Register, Register)> {
    let moves =
        matches!(instruction.code(), Code::Mov_r32_rm32 | Code::Mov_r64_rm64 | Code::Mov_rm32_r32 | Code::Mov_rm64_r64);
    let registers = instruction.op0_kind() == OpKind::Register && instruction.op1_kind() == OpKind::Register;
    let pair = (instruction.op0_register().full_register(), instruction.op1_register().full_register());
    (moves && registers).then_some(pair)
}

/// A register among the sixteen, by its number.
pub(super) fn bit(register: Register) -> u16 {
    1 << register.number()
}

/// Whether an instruction writes a register, or a part of it.
pub(crate) fn writes(instruction: &Instruction, register: Register) -> bool {
    written(instruction) & bit(register) != 0
}

/// The registers that an instruction writes, or a part of which.
pub(super) fn written(instruction: &Instruction) -> u16 {
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(instruction).used_registers().iter();
    let changed = used.filter(|used| {
        matches!(used.access(), OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
    });
    changed.map(|used| used.register().full_register()).filter(|r| r.is_gpr64()).fold(0, |all, r| all | bit(r))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirespan_common::tls_place;

    #[test]
    fn a_function_is_entered_at_its_first_push() {
        // push r13; mov r13,rcx
        let found = enters(&[0x41, 0x55, 0x49, 0x89, 0xcd], 0x100, 4);
        assert_eq!(found, Some(Enters { address: 0x100, words: 0, moved: false }));
    }

    #[test]
    fn a_jump_behind_moved_arguments_is_taken_and_says_so() {
        // mov r8,rcx; xor ecx,ecx; jmp -0xfa
        let code = [0x49, 0x89, 0xc8, 0x31, 0xc9, 0xe9, 0x06, 0xff, 0xff, 0xff];
        assert_eq!(enters(&code, 0, 4), Some(Enters { address: 5, words: 0, moved: true }));
    }

    #[test]
    fn without_a_cheap_place_the_first_is_taken_only_if_any_may_be() {
        // endbr64; mov rax,rdi; ret
        let code = [0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x89, 0xf8, 0xc3];
        assert_eq!(enters(&code, 0x100, 4), None);
        assert_eq!(begins(&code, 0x100), Some(Enters { address: 0x104, words: 0, moved: false }));
    }

    #[test]
    fn where_arguments_are_gone_or_the_stack_is_elsewhere_nothing_is_taken() {
        // mov rdi,rbx; push rbx
        assert_eq!(enters(&[0x48, 0x89, 0xdf, 0x53], 0, 4), None);
        // and rsp,-16; push rbx
        assert_eq!(enters(&[0x48, 0x83, 0xe4, 0xf0, 0x53], 0, 4), None);
        assert_eq!(enters(&[0xc3], 0, 4), None);
    }

    #[test]
    fn a_branch_that_is_taken_by_what_failed_is_a_place_for_that_alone() {
        // test eax,eax; pop rcx; jle +5; mov r8d,1 (a success, which goes on elsewhere); ret
        // and at the branch's end: mov r8d,eax; mov eax,r8d; ret
        let code = [
            0x85, 0xc0, 0x59, 0x7e, 0x08, 0x41, 0xb8, 1, 0, 0, 0, 0xeb, 0x03, 0x41, 0x89, 0xc0, 0x44, 0x89, 0xc0, 0xc3,
        ];
        let function = Function::of(0x100, &code);
        let found: Vec<_> = leaves(&function).iter().map(|l| (l.address, l.register, l.results)).collect();
        let failed = tls_place::NEGATIVE | tls_place::ZERO;
        assert_eq!(found, [(0x103, 0, failed), (0x10b, 8, ANY)]);
    }

    #[test]
    fn room_on_the_stack_in_front_of_the_place_is_counted() {
        // sub rsp,0x18; test rdi,rdi; je
        let code = [0x48, 0x83, 0xec, 0x18, 0x48, 0x85, 0xff, 0x74, 0x10];
        assert_eq!(enters(&code, 0, 5), Some(Enters { address: 7, words: 3, moved: false }));
    }
}
