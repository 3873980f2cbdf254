//! Where it is known what a function will return, though it has not yet: at instructions that the kernel emulates.
//!
//! Looked at from every `ret` backwards. In front of an instruction, a register *holds the result* if what is in it is returned
//! on every way from there, and the stack pointer stands a known distance below where the return address is. A place is a jump
//! at which that is so, and from which a way leads to the end without another call: by then all is done that the caller
//! will see. Where only one branch of a comparison with nothing leads there, the place is told which results take it.

use std::collections::{BTreeMap, HashMap};

use iced_x86::{Code, ConditionCode, FlowControl, Instruction, Mnemonic, OpKind, Register};
use wirespan_common::tls_place::{self, ANY, NEGATIVE, POSITIVE, Session, ZERO};

use super::places::{bit, copies, writes, written};
use crate::flow::Function;

/// Those that a call may change: not `rbx`, `rbp`, `r12` to `r15`.
const SCRATCH: u16 = 0b0000_1111_1100_0111;
/// Rounds in which the whole of a function is looked at; what is not settled by then is not known.
const MAX_ROUNDS: usize = 64;
/// Instructions between a comparison and the jump that depends on it.
const MAX_BETWEEN: usize = 3;

/// Where a function is known to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returns {
    /// The address of the instruction.
    pub address: u64,
    /// From the stack pointer up to the address that the function returns to, in words.
    pub words: u16,
    /// The number of the register that holds the result.
    pub register: u8,
    /// With which results: [`NEGATIVE`], [`ZERO`], [`POSITIVE`].
    pub results: u8,
}

impl Returns {
    /// What is told there, if the function leaves with some of these results.
    pub fn cookie(&self, session: Session, results: u8) -> Option<u64> {
        let cookie = tls_place::cookie(tls_place::LEAVES, self.register, self.words, session)?;
        Some(tls_place::leaves_with(cookie, self.results & results))
    }
}

/// What is known in front of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    /// Registers that hold the result, a bit each.
    holders: u16,
    /// From the stack pointer to the return address, in bytes.
    depth: Option<i64>,
    /// A way leads to the end on which nothing is called.
    quiet: bool,
}

impl Known {
    /// At the end.
    const END: Self = Self { holders: 1, depth: Some(0), quiet: true };

    fn and(self, other: Self) -> Self {
        let depth = if self.depth == other.depth { self.depth } else { None };
        Self { holders: self.holders & other.holders, depth, quiet: self.quiet || other.quiet }
    }

    /// In front of an instruction, if this is so behind it.
    fn before(mut self, instruction: &Instruction) -> Self {
        self.depth = self.depth.and_then(|depth| depth_before(instruction, depth));
        match instruction.flow_control() {
            FlowControl::Call | FlowControl::IndirectCall => {
                return Self { holders: self.holders & !SCRATCH, quiet: false, ..self };
            }
            FlowControl::Next => {}
            _ => return self,
        }
        // (A number with a sign is the same number in more bits.)
        let extends = matches!(instruction.code(), Code::Cdqe | Code::Movsxd_r64_rm32)
            && (instruction.code() == Code::Cdqe || instruction.op1_kind() == OpKind::Register);
        let copied = match instruction.code() {
            Code::Cdqe => Some((Register::RAX, Register::RAX)),
            _ if extends => {
                Some((instruction.op0_register().full_register(), instruction.op1_register().full_register()))
            }
            _ => copies(instruction),
        };
        if let Some((to, from)) = copied {
            let held = self.holders & bit(to) != 0;
            self.holders &= !bit(to);
            self.holders |= if held { bit(from) } else { 0 };
            return self;
        }
        self.holders &= !written(instruction);
        self
    }

    fn place(self, instruction: &Instruction, results: u8) -> Option<Returns> {
        let words = u16::try_from(self.depth? / 8).ok().filter(|words| *words <= 0xfff)?;
        let register = u8::try_from(self.holders.trailing_zeros()).ok()?;
        (self.holders != 0 && self.quiet && self.depth? % 8 == 0).then_some(Returns {
            address: instruction.ip(),
            words,
            register,
            results,
        })
    }
}

/// Where the stack pointer stands in front of an instruction. `None` if it is set to something else.
fn depth_before(instruction: &Instruction, depth: i64) -> Option<i64> {
    match instruction.code() {
        Code::Push_r64 | Code::Pushq_imm8 | Code::Pushq_imm32 | Code::Push_rm64 => Some(depth - 8),
        Code::Pop_r64 | Code::Pop_rm64 => Some(depth + 8),
        Code::Add_rm64_imm8 | Code::Add_rm64_imm32 if instruction.op0_register() == Register::RSP => {
            Some(depth + instruction.immediate(1) as i64)
        }
        Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 if instruction.op0_register() == Register::RSP => {
            Some(depth - instruction.immediate(1) as i64)
        }
        _ if instruction.flow_control() != FlowControl::Next => Some(depth),
        _ if writes(instruction, Register::RSP) => None,
        _ => Some(depth),
    }
    .filter(|depth| *depth >= 0)
}

/// All places.
pub fn returns(function: &Function) -> Vec<Returns> {
    let known = settle(function);
    let mut found: Vec<Returns> =
        function.instructions().filter_map(|instruction| place(function, &known, instruction)).collect();
    found.sort_unstable_by_key(|place| place.address);
    found
}

/// Where a function returns, whatever that costs.
pub fn ends(function: &Function) -> Vec<Returns> {
    let all = function.instructions().filter(|i| i.code() == Code::Retnq);
    all.map(|i| Returns { address: i.ip(), words: 0, register: 0, results: ANY }).collect()
}

/// From the stack pointer in front of an instruction up to the address that the function returns to, in words.
pub fn depth(function: &Function, address: u64) -> Option<u16> {
    let depth = settle(function).at(address)?.depth?;
    u16::try_from(depth / 8).ok().filter(|words| depth % 8 == 0 && *words <= 0xfff)
}

fn place(function: &Function, known: &Ahead, instruction: &Instruction) -> Option<Returns> {
    if instruction.is_jmp_short_or_near() {
        return known.at(instruction.near_branch_target())?.place(instruction, ANY);
    }
    if !instruction.is_jcc_short_or_near() {
        return None;
    }
    let (taken, next) = (known.at(instruction.near_branch_target()), known.at(instruction.next_ip()));
    if let Some(place) = taken.zip(next).and_then(|(taken, next)| taken.and(next).place(instruction, ANY)) {
        return Some(place);
    }
    // One branch may be the end by itself, if what is compared is the result.
    let (equal, results) = compared(function, instruction)?;
    let of = |known: Option<Known>, results: u8| {
        let known = known.filter(|known| known.holders & equal != 0)?;
        Known { holders: known.holders & equal, ..known }.place(instruction, results)
    };
    of(taken, results).or_else(|| of(next, ANY & !results))
}

/// The registers with what a jump compares with nothing, and with which values it is taken.
pub(super) fn compared(function: &Function, jump: &Instruction) -> Option<(u16, u8)> {
    let results = match jump.condition_code() {
        ConditionCode::e => ZERO,
        ConditionCode::ne => NEGATIVE | POSITIVE,
        ConditionCode::s | ConditionCode::l => NEGATIVE,
        ConditionCode::ns | ConditionCode::ge => ZERO | POSITIVE,
        ConditionCode::le => NEGATIVE | ZERO,
        ConditionCode::g => POSITIVE,
        _ => return None,
    };
    let mut changed = 0;
    let mut at = jump.ip();
    for _ in 0..MAX_BETWEEN {
        let before = function.before(at)?;
        at = before.ip();
        let is_register = before.op0_kind() == OpKind::Register;
        match before.mnemonic() {
            Mnemonic::Test if is_register && before.op0_register() == before.op1_register() => {}
            Mnemonic::Cmp if is_register && is_nothing(before) => {}
            Mnemonic::Mov | Mnemonic::Lea | Mnemonic::Pop => {
                changed |= written(before);
                continue;
            }
            _ => return None,
        }
        let compared = before.op0_register().full_register();
        let same = bit(compared) | copy_in_front(function, at, compared);
        return Some((same & !changed, results));
    }
    None
}

/// The register that was given the same value just before.
fn copy_in_front(function: &Function, at: u64, register: Register) -> u16 {
    match function.before(at).and_then(copies) {
        Some((to, from)) if from == register => bit(to),
        Some((to, from)) if to == register => bit(from),
        _ => 0,
    }
}

fn is_nothing(compares: &Instruction) -> bool {
    matches!(compares.op1_kind(), OpKind::Immediate8to32 | OpKind::Immediate8to64 | OpKind::Immediate32)
        && compares.immediate(1) == 0
}

/// What is known in front of each instruction.
struct Ahead(HashMap<u64, Known>);

impl Ahead {
    fn at(&self, address: u64) -> Option<Known> {
        self.0.get(&address).copied()
    }
}

/// Goes backwards until nothing changes. What no way out leads from (a call that never returns stands before its end) says
/// nothing about the rest.
fn settle(function: &Function) -> Ahead {
    let all: BTreeMap<u64, &Instruction> = function.instructions().map(|i| (i.ip(), i)).collect();
    let mut known = Ahead(HashMap::new());
    for _ in 0..MAX_ROUNDS {
        let mut changed = false;
        for (address, instruction) in all.iter().rev() {
            let Some(now) = ahead_of(instruction, &known) else { continue };
            changed |= known.0.insert(*address, now) != Some(now);
        }
        if !changed {
            return known;
        }
    }
    Ahead(HashMap::new())
}

fn ahead_of(instruction: &Instruction, known: &Ahead) -> Option<Known> {
    let behind = match instruction.flow_control() {
        FlowControl::Return => return Some(Known::END),
        FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall => known.at(instruction.next_ip()),
        FlowControl::UnconditionalBranch => known.at(instruction.near_branch_target()),
        FlowControl::ConditionalBranch => {
            match (known.at(instruction.near_branch_target()), known.at(instruction.next_ip())) {
                (Some(taken), Some(next)) => Some(taken.and(next)),
                (one, other) => one.or(other),
            }
        }
        // Where it goes on nobody knows.
        _ => return Some(Known { holders: 0, depth: None, quiet: false }),
    };
    behind.map(|behind| behind.before(instruction))
}
