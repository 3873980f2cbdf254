//! From the address of the runtime's state to what tells the running task.

use super::greenlets::{self, Greenlets};
use super::layout::{ALL, INTERPRETER, Layout, NEXT};
use super::object::{Function, Heap};
use crate::{Error, Source};

/// Where glibc keeps a thread's values by key, from the thread's own memory on (x86-64: `struct pthread`,
/// `specific_1stblock`), each with a number in front of it.
const VALUES: u64 = 0x310;
/// Keys there.
const KEYS: u32 = 32;
/// Threads that are looked at.
pub(super) const MAX_THREADS: usize = 4096;
/// The last byte of `sys.hexversion` of a release.
const RELEASE: u8 = 0xf0;
/// Types: the functions that destroy and set up an object.
pub(super) const DESTROY: u64 = 48;
pub(super) const SET_UP: u64 = 296;

/// A running interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its version.
    pub version: (u8, u8, u8),
    /// Its layout.
    pub layout: &'static Layout,
    /// From a thread's own memory to the address of its state.
    pub slot: u32,
    /// The type of texts.
    pub text_type: u64,
    /// The type of numbers.
    pub number_type: u64,
    /// asyncio, once the program has loaded it.
    pub asyncio: Option<Asyncio>,
    /// Contexts, once it has loaded `contextvars`, as asyncio does.
    pub contexts: Option<Contexts>,
    /// What a future is given that hands over nothing.
    pub empty: Empty,
    /// Queues of pools, once it has loaded their module.
    pub jobs: Option<Jobs>,
    /// uvloop, once the program has loaded it.
    pub streams: Option<Streams>,
    /// Greenlets, once the program has loaded their module, and a thread has used it.
    pub greenlets: Option<Greenlets>,
}

/// Contexts (`contextvars`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contexts {
    /// Their type.
    pub kind: u64,
    /// The function that destroys one.
    pub dealloc: u64,
    /// `contextvars.copy_context`, which may have the interpreter's own function inlined.
    pub copy: u64,
}

/// Values that say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty {
    /// None.
    pub nothing: u64,
    /// The type of true and false.
    pub truth_type: u64,
}

/// Queues from which threads of a pool (`concurrent.futures`) take their jobs: `SimpleQueue.get`, and `get_nowait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jobs {
    /// Waits for one.
    pub get: u64,
    /// Does not.
    pub get_nowait: u64,
}

/// Streams of uvloop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// `UVStream.write`.
    pub write: Function,
    /// `UVStream.writelines`.
    pub writelines: Function,
}

/// asyncio's own parts that are written in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asyncio {
    /// The dictionary of the tasks that run, by loop; 0 where the threads' states tell that.
    pub running: u64,
    /// The type of tasks.
    pub task_type: u64,
    /// The function that sets up a task.
    pub task_init: u64,
    /// The function that destroys a task.
    pub task_dealloc: u64,
    /// `Future.set_result`.
    pub set_result: Function,
}

/// What the interpreter whose state is at `runtime` looks like.
///
/// # Errors
/// If no table fits it.
pub fn find(memory: &dyn Source, runtime: u64) -> Result<Found, Error> {
    let mut last = Error::Missing("table for this version of CPython");
    for layout in &ALL {
        match fits(memory, runtime, layout) {
            Ok(found) => return Ok(found),
            Err(Error::Missing(what)) => last = Error::Missing(what),
            Err(_) => {}
        }
    }
    Err(last)
}

fn fits(memory: &dyn Source, runtime: u64, layout: &'static Layout) -> Result<Found, Error> {
    let heap = Heap::new(memory, layout);
    let interpreter = heap.word(runtime, layout.main)?;
    let modules = heap.word(interpreter, layout.modules)?;
    let (name, sys) = heap.entry(modules, "sys").map_err(|_| Error::Malformed("the interpreter"))?;
    let number = heap.item(heap.names(sys)?, "hexversion").map_err(|_| Error::Malformed("the interpreter"))?;
    let version = heap.half(number, 24)?;
    let [level, micro, minor, major] = version.to_le_bytes();
    if (major, minor) != (3, layout.minor) || level != RELEASE {
        return Err(Error::Malformed("the version"));
    }
    // From here on it is this version: what does not fit is an unknown build of it.
    let other = |_| Error::Missing("table for this build of CPython");
    let slot = slot(&heap, runtime, interpreter).map_err(other)?;
    let asyncio = match heap.item(modules, "_asyncio") {
        Ok(module) => Some(asyncio(&heap, module).map_err(other)?),
        Err(_) => None,
    };
    let streams = match heap.item(modules, "uvloop.loop") {
        Ok(module) => Some(streams(&heap, module).map_err(other)?),
        Err(_) => None,
    };
    let contexts = match heap.item(modules, "_contextvars") {
        Ok(module) => Some(contexts(&heap, module).map_err(other)?),
        Err(_) => None,
    };
    let empty = empty(&heap, modules).map_err(other)?;
    let jobs = match heap.item(modules, "_queue") {
        Ok(module) => Some(jobs(&heap, module).map_err(other)?),
        Err(_) => None,
    };
    Ok(Found {
        version: (major, minor, micro),
        layout,
        slot,
        text_type: heap.type_of(name)?,
        number_type: heap.type_of(number)?,
        asyncio,
        contexts,
        empty,
        jobs,
        streams,
        greenlets: greenlets::find(&heap, modules, interpreter),
    })
}

fn empty(heap: &Heap<'_>, modules: u64) -> Result<Empty, Error> {
    let names = heap.names(heap.item(modules, "builtins")?)?;
    let nothing = heap.item(names, "None")?;
    heap.is_type(heap.type_of(nothing)?, "NoneType")?;
    let truth_type = heap.type_of(heap.item(names, "True")?)?;
    heap.is_type(truth_type, "bool")?;
    Ok(Empty { nothing, truth_type })
}

fn jobs(heap: &Heap<'_>, module: u64) -> Result<Jobs, Error> {
    let kind = heap.item(heap.names(module)?, "SimpleQueue")?;
    heap.is_type(kind, "SimpleQueue")?;
    Ok(Jobs { get: heap.method(kind, "get")?.address, get_nowait: heap.method(kind, "get_nowait")?.address })
}

fn contexts(heap: &Heap<'_>, module: u64) -> Result<Contexts, Error> {
    let names = heap.names(module)?;
    let kind = heap.item(names, "Context")?;
    heap.is_type(kind, "Context")?;
    let copy = heap.function(heap.item(names, "copy_context")?)?.address;
    Ok(Contexts { kind, dealloc: heap.word(kind, DESTROY)?, copy })
}

fn streams(heap: &Heap<'_>, module: u64) -> Result<Streams, Error> {
    let kind = heap.item(heap.names(module)?, "UVStream")?;
    heap.is_type(kind, "UVStream")?;
    Ok(Streams { write: heap.method(kind, "write")?, writelines: heap.method(kind, "writelines")? })
}

/// Where a thread keeps the address of its state; some thread of the interpreter must do so.
fn slot(heap: &Heap<'_>, runtime: u64, interpreter: u64) -> Result<u32, Error> {
    let layout = heap.layout();
    let (made, key) = (heap.half(runtime, layout.key)?, heap.half(runtime, layout.key + 4)?);
    if made != 1 || key >= KEYS {
        return Err(Error::Malformed("the key of threads' states"));
    }
    let slot = VALUES + u64::from(key) * 16 + 8;
    let mut state = heap.word(interpreter, layout.threads)?;
    for _ in 0..MAX_THREADS {
        if heap.word(state, INTERPRETER)? != interpreter {
            return Err(Error::Malformed("the list of threads"));
        }
        let thread = heap.word(state, u64::from(layout.thread_id))?;
        if heap.word(thread, slot) == Ok(state) && context_fits(heap, state)? {
            return Ok(slot as u32);
        }
        state = heap.word(state, NEXT)?;
    }
    Err(Error::Malformed("the list of threads"))
}

/// Whether a thread works in a context, if in anything.
fn context_fits(heap: &Heap<'_>, state: u64) -> Result<bool, Error> {
    match heap.word(state, u64::from(heap.layout().context))? {
        0 => Ok(true),
        context => heap.is_type(heap.type_of(context)?, "Context").map(|_| true),
    }
}

fn asyncio(heap: &Heap<'_>, module: u64) -> Result<Asyncio, Error> {
    let names = heap.names(module)?;
    let (task, future) = (heap.item(names, "Task")?, heap.item(names, "Future")?);
    let running = match heap.layout().running_task {
        0 => heap.item(names, "_current_tasks")?,
        _ => 0,
    };
    if running != 0 {
        heap.is_type(heap.type_of(running)?, "dict")?;
    }
    heap.is_type(future, "Future")?;
    if heap.is_type(task, "Task")? != heap.layout().task_size {
        return Err(Error::Malformed("the size of a task"));
    }
    Ok(Asyncio {
        running,
        task_type: task,
        task_init: heap.word(task, SET_UP)?,
        task_dealloc: heap.word(task, DESTROY)?,
        set_result: heap.method(future, "set_result")?,
    })
}
