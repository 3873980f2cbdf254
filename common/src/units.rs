//! Units: what runs one request at a time, where runtimes keep it, what is told of it, and what probes and waits note.

/// What runs one request at a time inside a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UnitId {
    /// Process (thread group) id in the initial pid namespace.
    pub tgid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// What `id` and `parent` mean: 0 means that the thread is all that is known.
    pub kind: u32,
    /// How often the thread had gone to sleep by then (`task_struct.nvcsw`), modulo 2³²: between two equal values it ran on.
    pub switches: u32,
    /// Runtime's own id (goroutine, task). `kind` zero: what the thread works in, if its runtime tells (the context of an
    /// event loop's callback), else zero.
    pub id: u64,
    /// Goroutine: the number of the one that made it. Task and lent context: what tells one life of its address from another
    /// (its number; the moment of its birth). Zero when unknown.
    pub parent: u64,
    /// When the unit had it written, `CLOCK_BOOTTIME` nanoseconds, if what is written is gathered and sent later by something
    /// else; zero: it did so itself, now. (Of a loop, something else: [`UNIT_LOOP`].)
    pub since: u64,
}

/// [`UnitId::kind`]: a goroutine. Its number is never used again in its process.
pub const UNIT_GOROUTINE: u32 = 1;

/// [`UnitId::kind`]: a task of asyncio, by its address, which is used again once it is gone.
pub const UNIT_TASK: u32 = 2;

/// [`UnitId::kind`]: what a thread does in a context that a unit of another thread copied from its own (`contextvars`), by the
/// context's address, which is used again once it is gone.
pub const UNIT_LENT: u32 = 3;

/// [`UnitId::kind`]: a greenlet, by its address, which is used again once it is gone. A thread's first greenlet is the thread.
pub const UNIT_GREENLET: u32 = 4;

/// [`UnitId::kind`]: the thread of a loop that numbers its pieces of work. `id` is the number of the piece that runs, 0 if none
/// does; `parent` that of the piece which set it going; `since` the newest number there is.
pub const UNIT_LOOP: u32 = 5;

/// [`UnitId::kind`]: a virtual thread of Java, by its number, which is never used again in its process; 0 if that could not be
/// told just then.
pub const UNIT_VIRTUAL: u32 = 6;

/// Values of the `RUNTIMES` map, by process id: where a process's runtime keeps the unit that runs. Offsets in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuntimeState {
    /// `UNIT_*`.
    pub kind: u32,
    /// From the thread's own memory down to the address of its unit.
    pub below_thread: u32,
    /// In a unit: its number.
    pub id: u32,
    /// In a unit: the number of the one that made it.
    pub parent: u32,
    /// In a unit: the address of the function that it began with.
    pub start: u32,
    /// In a unit: the address of what the runtime knows of its thread.
    pub thread: u32,
    /// In that: the address of the unit that it runs.
    pub current: u32,
    /// Not 0: it is told which of its units make others.
    pub births: u32,
    /// Functions whose units read for the one that made them; 0 for none.
    pub helpers: [u64; 2],
}

/// Values of the `PYTHONS` map, by process id: where CPython keeps the task that runs. Offsets in bytes, addresses in the
/// process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PythonState {
    /// The dictionary of the tasks that run, by loop; 0 if there are none.
    pub running: u64,
    /// The type of tasks.
    pub task_type: u64,
    /// The type of texts.
    pub text_type: u64,
    /// The type of numbers.
    pub number_type: u64,
    /// The type of contexts.
    pub context_type: u64,
    /// What stands for no value.
    pub nothing: u64,
    /// The type of truth values.
    pub truth_type: u64,
    /// From the thread's own memory to the address of its state.
    pub slot: u32,
    /// In that: the thread's own memory again.
    pub thread_id: u32,
    /// In that: the context that it works in.
    pub context: u32,
    /// In a task: the context that it works in.
    pub task_context: u32,
    /// In a task: its name, or number.
    pub task_name: u32,
    /// In a text: its characters.
    pub text: u32,
    /// 1 if tables of dictionaries begin as they did until 3.10.
    pub old_tables: u32,
    /// Which of a thread's blocks of memory has the address of what greenlet knows of the thread (the number of its module); 0:
    /// there are no greenlets.
    pub greenlets: u32,
    /// Where in that block.
    pub greenlets_at: u32,
    /// In a thread's state: the task that runs; 0 where `running` tells it.
    pub running_task: u32,
}

/// Values of the `JAVAS` map, by process id: where a Java VM says which virtual thread a thread carries. Offsets in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JavaState {
    /// What the VM knows of the heap, an address; 0 where its threads have the number of what they carry.
    pub heap: u64,
    /// Which of a thread's blocks of memory is the VM's (the number of its module).
    pub block: u32,
    /// In that: the address of the VM's thread.
    pub at: u32,
    /// In the VM's thread, or in an object of a thread if there is `heap`: the number of what it carries, or its own.
    pub number: u32,
    /// In the VM's thread: not 0 while it carries a virtual thread. (Without `heap`.)
    pub carries: u32,
    /// In the VM's thread: the addresses of where its own object's address is, and that of what it carries. (With `heap`.)
    pub own: u32,
    /// In what the VM knows of the heap, one byte: it is being collected.
    pub collecting: u32,
    /// In that, four bytes: how often it was.
    pub collections: u32,
    /// Always zero.
    pub reserved: u32,
}

/// What a [`FactEvent`] says.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// A thread went to sleep: `a` is one of `SLEPT_ON_*`, `b` the set, `cookie` the socket that it had sent on last.
    Slept = 1,
    /// What `other` sends next is a call that `unit` made; `a` and `b` are the handle that it carries, zeroes if none.
    HandedOver = 2,
    /// What `other` sends next on its stream of the number `cookie` is; else as [`Self::HandedOver`].
    HandedOverStream = 3,
    /// The request that `unit` serves carries the handle `a`, `b`. `cookie` is 1 if what carries it, carries it after the request
    /// was answered as well.
    Named = 4,
    /// `unit` serves, from now on, the request of the stream with the number `cookie` that `other`, or a unit that `other`
    /// made, took in.
    TakenUp = 5,
    /// What is sent next through the socket `cookie` is a call made for the request that the connection of the socket `a` has
    /// under way.
    Relayed = 6,
    /// A piece of a loop's work begins on the thread: `a` is the newest number of such pieces, `b` one of `TURN_*`, `cookie` the
    /// socket that it is about, zero if none.
    Turn = 7,
    /// `unit` is made by `other`, or by what runs on the thread if that is zero; `a` tells that from what ran there before. `b` is the
    /// place in the program that made it, zero if unknown.
    Born = 16,
    /// `unit` is gone.
    Ended = 17,
    /// `unit` is made runnable by what runs on the thread, and is no unit; `a` tells that from what ran there before.
    Woke = 18,
    /// `unit` gets a result that it waited for, from `other`; if that is zero, from the thread with the id `a`,
    /// when it handed it over.
    Resolved = 19,
    /// The thread takes up its next job.
    Job = 20,
}

/// What the place of a probe in CPython means: its cookie.
pub mod python_place {
    /// `Task.__init__`: the first argument is a task that is made.
    pub const MADE: u8 = 1;
    /// What destroys a task: the first argument.
    pub const GONE: u8 = 2;
    /// `Future.set_result`: the first argument is a future, the second the result.
    pub const RESULT: u8 = 3;
    /// In what copies a context: it may be what was returned.
    pub const COPY_RETURNED: u8 = 4;
    /// The same: it may be the first argument of what is called.
    pub const COPY_PASSED: u8 = 5;
    /// What destroys a context: the first argument.
    pub const CONTEXT_GONE: u8 = 6;
    /// uvloop's `UVStream.write`, and `writelines`: the first argument is the stream, what the second points to is what is
    /// written.
    pub const WRITES_FIRST: u8 = 7;
    /// The same; the second argument is what is written.
    pub const WRITES: u8 = 8;
    /// What sets up a greenlet: the first argument.
    pub const GREENLET_MADE: u8 = 9;
    /// What destroys one: the first argument.
    pub const GREENLET_GONE: u8 = 10;
    /// `Future.set_result`, where the third argument points to the result.
    pub const RESULT_LISTED: u8 = 11;
    /// `SimpleQueue.get`, and `get_nowait`: a thread of a pool asks for its next job.
    pub const ASKS: u8 = 12;
}

/// What the place of a probe in Node means: the lowest byte of its cookie. The first argument is something of the loop's; from
/// it to the address of the loop's numbers it is as far as the cookie's upper half says.
pub mod node_place {
    /// `Environment::RunTimers`.
    pub const TIMERS: u8 = 1;
    /// `Environment::CheckImmediate`.
    pub const IMMEDIATES: u8 = 2;
    /// `ConnectionWrap::OnConnection`.
    pub const ACCEPTED: u8 = 3;
    /// `ConnectionWrap::AfterConnect`: the first argument is libuv's request.
    pub const CONNECTED: u8 = 4;

    /// A probe's cookie.
    #[must_use]
    pub const fn cookie(place: u8, numbers: i32) -> u64 {
        place as u64 | (numbers as u32 as u64) << 32
    }
}

/// Values of the `LOOPS` map, by thread id: where a loop keeps its numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopState {
    /// The process.
    pub tgid: u32,
    /// Always zero.
    pub reserved: u32,
    /// The address: the piece that runs, the one that set it going, the newest number.
    pub numbers: u64,
}

/// [`FactKind::Turn`]: bytes came in.
pub const TURN_ARRIVAL: u64 = 1;
/// [`FactKind::Turn`]: timers have run out.
pub const TURN_TIMER: u64 = 2;
/// [`FactKind::Turn`]: what was left to be done.
pub const TURN_IMMEDIATE: u64 = 3;
/// [`FactKind::Turn`]: a connection was accepted.
pub const TURN_ACCEPTED: u64 = 4;
/// [`FactKind::Turn`]: a connection that was being opened is there, or cannot be had.
pub const TURN_CONNECTED: u64 = 5;
/// [`FactKind::Turn`]: another thread has finished something.
pub const TURN_WOKEN: u64 = 6;

/// [`FactKind::Slept`]: exactly on the socket that it had sent on last.
pub const SLEPT_ON_OWN: u64 = 1;
/// [`FactKind::Slept`]: on several descriptors.
pub const SLEPT_ON_MANY: u64 = 2;
/// [`FactKind::Slept`]: on an epoll set.
pub const SLEPT_ON_SET: u64 = 3;

/// Something that says who does what for whom.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FactEvent {
    /// [`Kind::Fact`](crate::Kind::Fact).
    pub kind: u8,
    /// [`FactKind`].
    pub what: u8,
    /// What `other` means, where that is not what `unit` does; else 0.
    pub other_kind: u8,
    /// Always zero.
    pub reserved: u8,
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// What `unit` and `other` mean, as [`UnitId::kind`]; 0: threads.
    pub unit_kind: u32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// The unit that it is about.
    pub unit: u64,
    /// Another unit, zero if none.
    pub other: u64,
    /// By `what`.
    pub a: u64,
    /// By `what`.
    pub b: u64,
    /// A socket, zero if none; or a stream's number, by `what`.
    pub cookie: u64,
}

/// What the place of a probe in a Go program means: the lowest byte of its cookie. `A` and `B` are offsets of fields, 16 bits
/// each, in the cookie from bit 16 and 32 on.
pub mod go_place {
    /// `net/http.serverHandler.ServeHTTP`: the first argument is the server, the fourth the request, its context at `A`.
    pub const SERVES: u8 = 1;
    /// `net/http.(*persistConn).roundTrip`: a call with its connection, and a request whose context is at `A`.
    pub const ROUND_TRIP: u8 = 2;
    /// The same, of a request whose first word is the address of another, which has its context at `A`.
    pub const ROUND_TRIP_INDIRECT: u8 = 3;
    /// `net/http.persistConnWriter.Write`: a connection is written to.
    pub const WRITES: u8 = 4;
    /// `(*http2.clientStream).writeRequest`: a stream, its context at `A`; by a goroutine made for it.
    pub const STREAM_WRITES: u8 = 5;
    /// `(*http2.serverConn).runHandler`: the third argument is the request, its context at `A`; the second's first word is
    /// the address of what begins with the address of the stream, with its number at `B`.
    pub const STREAM_SERVES: u8 = 6;
    /// `(*grpc.Server).handleStream`: the fourth argument is a stream, its context at `A`, its number at `B`.
    pub const RPC_SERVES: u8 = 7;
    /// `(*transport.http2Client).NewStream`: the second and third argument are a context.
    pub const RPC_CALLS: u8 = 8;
    /// `(*transport.controlBuffer).executeAndPut`: the fourth argument is what is put.
    pub const RPC_PUTS: u8 = 9;
    /// A handler of `(*transport.loopyWriter)`: the second argument is what was put, with a stream's number at `A`.
    pub const RPC_WRITES: u8 = 10;
    /// In `runtime.newproc1`: a register has the address of a goroutine that has just got its number; the place of the `go`
    /// statement is at `B` in it, and the frame pointer of who runs in it is kept at `A`. The register's number is in the cookie
    /// from bit 48 on.
    pub const MADE: u8 = 11;
    /// `runtime.goexit1`: the goroutine ends.
    pub const ENDS: u8 = 12;

    /// A probe's cookie.
    #[must_use]
    pub const fn cookie(place: u8, a: u16, b: u16) -> u64 {
        place as u64 | (a as u64) << 16 | (b as u64) << 32
    }

    /// The same of [`MADE`].
    #[must_use]
    pub const fn made(register: u16, frame: u16, site: u16) -> u64 {
        cookie(MADE, frame, site) | (register as u64) << 48
    }
}

/// Keys of the `NOTES` map: something of a process that probes have noted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoteKey {
    /// Process.
    pub tgid: u32,
    /// What the address means; the program's own.
    pub what: u32,
    /// An address in the process, or a number.
    pub address: u64,
}

/// Values of the `NOTES` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Who.
    pub unit: u64,
    /// A handle, or what else there is to be known of it.
    pub handle: [u64; 2],
    /// When, `CLOCK_BOOTTIME` nanoseconds, where that matters.
    pub time: u64,
    /// On which thread, or how far from another, where that matters.
    pub tid: u32,
    /// 1 once it was told.
    pub told: u32,
}

/// Entries of the `WATCHED` map: a bit for each of the thread ids that there can be (`PID_MAX_LIMIT`).
pub const WATCH_WORDS: u32 = 65536;

/// Values of the `WAITS` map, by thread id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait {
    /// Address of the socket that it sent on last.
    pub socket: u64,
    /// Its cookie.
    pub cookie: u64,
    /// Cookie of the socket of which was said that it sleeps on it.
    pub said_own: u64,
    /// The epoll set of which was said that it sleeps on it.
    pub set: u64,
    /// 1 once it was said that it sleeps on several descriptors.
    pub said_many: u64,
}

const _: () = {
    assert!(size_of::<UnitId>() == 40);
    assert!(size_of::<FactEvent>() == 64);
    assert!(size_of::<Wait>() == 40);
    assert!(size_of::<RuntimeState>() == 48);
    assert!(size_of::<PythonState>() == 96);
    assert!(size_of::<JavaState>() == 40);
    assert!(size_of::<LoopState>() == 16);
    assert!(size_of::<NoteKey>() == 16);
    assert!(size_of::<Note>() == 40);
};
