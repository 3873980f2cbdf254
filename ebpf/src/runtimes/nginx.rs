//! For which request nginx sends something to another server: it says so itself at each send, whatever its one thread has done
//! meanwhile.
//!
//! Both kinds of connection have the request as their data while it is worked on; its own connection is the one that it came
//! on. (`ngx_connection_t`, src/core/ngx_connection.h; `ngx_http_request_t`, src/http/ngx_http_request.h: alike since 1.0.)

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, programs::ProbeContext};
use wirespan_common::{FactEvent, FactKind};

use super::word;
use crate::{arch, facts, files};

/// `ngx_connection_t.fd`.
const FD: u64 = 24;
/// `ngx_http_request_t.signature`: "HTTP".
const SIGNATURE: u32 = 0x5054_5448;
/// `ngx_http_request_t.connection`.
const CONNECTION: u64 = 8;

/// A function that sends on a connection was entered.
#[inline(always)]
pub fn on_probe(ctx: &ProbeContext) {
    // SAFETY: the kernel hands every probe its registers.
    let connection = arch::argument(unsafe { &*ctx.regs });
    let request = word(connection);
    if word(request) as u32 != SIGNATURE {
        return;
    }
    let came_on = word(request + CONNECTION);
    // (What goes back is an answer.)
    if came_on == 0 || came_on == connection {
        return;
    }
    let (to, from) = (files::identity_of(word(connection + FD) as u32), files::identity_of(word(came_on + FD) as u32));
    if to == 0 || from == 0 || to == from {
        return;
    }
    let id = bpf_get_current_pid_tgid();
    facts::tell(FactEvent {
        what: FactKind::Relayed as u8,
        tgid: (id >> 32) as u32,
        tid: id as u32,
        unit: id as u32 as u64,
        a: from,
        cookie: to,
        ..FactEvent::default()
    });
}
