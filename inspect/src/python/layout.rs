//! Where the structures of each version keep what: offsets in bytes, for 64-bit builds with the global lock.
//!
//! From the headers (`pycore_runtime.h`, `pycore_interp.h`, `pystate.h`) of 3.9.18, 3.10.13, 3.11.2, 3.11.7, 3.12.1, 3.13.0
//! and 3.14.3, and from objects of those versions while they ran (`_asynciomodule.c` has no header; since 3.14 the module has a
//! table of its own, for debuggers: section `AsyncioDebug`). They are the same in all releases of a minor version that were looked at; one in which they are not is found out by
//! [`process`](super::process), and left alone.

/// Offsets of one minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Which: 11 of 3.11.
    pub minor: u8,
    /// `_PyRuntimeState`: `autoTSSkey`, by which each thread finds its state.
    pub key: u64,
    /// `_PyRuntimeState`: `interpreters.main`.
    pub main: u64,
    /// `PyInterpreterState`: the first thread's state.
    pub threads: u64,
    /// `PyInterpreterState`: the dictionary of modules.
    pub modules: u64,
    /// `PyThreadState`: `context`.
    pub context: u32,
    /// `PyThreadState`: `thread_id`.
    pub thread_id: u32,
    /// Its `asyncio_running_task` (`_PyThreadStateImpl`); 0 before 3.14, where the loops' tasks are in a dictionary.
    pub running_task: u32,
    /// `TaskObj`: `task_name`.
    pub task_name: u32,
    /// `TaskObj`: `task_context`.
    pub task_context: u32,
    /// Size of a `TaskObj`.
    pub task_size: u64,
    /// Texts: where the characters of one in ASCII begin.
    pub text: u32,
    /// Tables of dictionaries begin as they did until 3.10.
    pub old_tables: bool,
}

/// `PyThreadState`: the next one.
pub const NEXT: u64 = 8;
/// `PyThreadState`: its interpreter.
pub const INTERPRETER: u64 = 16;

const V3_9: Layout = Layout {
    minor: 9,
    key: 584,
    main: 40,
    threads: 8,
    modules: 856,
    context: 240,
    thread_id: 176,
    running_task: 0,
    task_name: 160,
    task_context: 168,
    task_size: 184,
    text: 48,
    old_tables: true,
};

const V3_11: Layout = Layout {
    minor: 11,
    key: 592,
    main: 48,
    threads: 16,
    modules: 888,
    context: 224,
    thread_id: 152,
    running_task: 0,
    task_name: 144,
    task_context: 152,
    task_size: 176,
    text: 48,
    old_tables: false,
};

const V3_13: Layout = Layout {
    minor: 13,
    key: 2160,
    main: 640,
    threads: 7344,
    modules: 7656,
    context: 208,
    thread_id: 152,
    running_task: 0,
    task_name: 128,
    task_context: 136,
    task_size: 144,
    text: 40,
    old_tables: false,
};

/// All versions that are known.
pub const ALL: [Layout; 6] = [
    V3_9,
    Layout { minor: 10, task_name: 168, task_context: 176, task_size: 192, ..V3_9 },
    V3_11,
    Layout { minor: 12, key: 1544, threads: 72, modules: 944, context: 208, thread_id: 136, text: 40, ..V3_11 },
    V3_13,
    Layout {
        minor: 14,
        key: 2336,
        main: 816,
        modules: 7664,
        running_task: 864,
        task_name: 136,
        task_context: 144,
        task_size: 168,
        ..V3_13
    },
];
