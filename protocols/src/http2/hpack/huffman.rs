//! Strings in HPACK's Huffman code (RFC 7541 §5.2), four bits at a time.

use super::tables::CODES;

const NODES: usize = 256;
/// A child that is a byte value rather than a node.
const LEAF: u16 = 0x8000;
const NONE: u16 = 0x7fff;
const EOS: u16 = 256;

/// What four bits do.
#[derive(Clone, Copy)]
struct Step {
    next: u8,
    symbol: u8,
    emits: bool,
    fails: bool,
}

/// The code as a binary tree: 257 leaves below 256 nodes, the root being 0.
const TREE: [[u16; 2]; NODES] = {
    let mut tree = [[NONE; 2]; NODES];
    let (mut used, mut symbol) = (1, 0);
    while symbol < CODES.len() {
        let (code, mut bits) = CODES[symbol];
        let mut at = 0;
        while bits > 1 {
            bits -= 1;
            let branch = (code >> bits & 1) as usize;
            if tree[at][branch] == NONE {
                tree[at][branch] = used;
                used += 1;
            }
            at = tree[at][branch] as usize;
        }
        tree[at][(code & 1) as usize] = LEAF | symbol as u16;
        symbol += 1;
    }
    tree
};

static STEPS: [[Step; 16]; NODES] = {
    let mut steps = [[Step { next: 0, symbol: 0, emits: false, fails: false }; 16]; NODES];
    let mut node = 0;
    while node < NODES {
        let mut bits = 0;
        while bits < 16 {
            steps[node][bits] = step(node, bits as u16);
            bits += 1;
        }
        node += 1;
    }
    steps
};

/// Nodes at which a string may end: less than a byte of ones, which begin the end of string (§5.2).
static ENDS: [bool; NODES] = {
    let mut ends = [false; NODES];
    let (mut at, mut ones) = (0, 0);
    while ones < 8 {
        ends[at] = true;
        at = TREE[at][1] as usize;
        ones += 1;
    }
    ends
};

const fn step(node: usize, bits: u16) -> Step {
    let mut step = Step { next: 0, symbol: 0, emits: false, fails: false };
    let (mut at, mut left) = (node, 4);
    while left > 0 {
        left -= 1;
        let child = TREE[at][(bits >> left & 1) as usize];
        if child & LEAF == 0 {
            at = child as usize;
        } else if child == LEAF | EOS {
            step.fails = true;
            return step;
        } else {
            // The shortest code has five bits, so no step sees two.
            step.emits = true;
            step.symbol = (child & 0xff) as u8;
            at = 0;
        }
    }
    step.next = at as u8;
    step
}

/// Appends what `coded` stands for. `None` if it is no Huffman code; part of it may be appended then.
pub(super) fn decode(coded: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let mut node = 0;
    for byte in coded {
        for bits in [byte >> 4, byte & 15] {
            let step = STEPS[node][usize::from(bits)];
            if step.emits {
                text.push(step.symbol);
            }
            if step.fails {
                return None;
            }
            node = usize::from(step.next);
        }
    }
    ENDS[node].then_some(())
}
