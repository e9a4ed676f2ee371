//! Local replies and callouts.

use super::{import, read, read_pairs, write, Host, NOT_FOUND, OK};
use crate::state::{Reply, State};
use wasmi::Linker;

fn start(host: &mut Host<'_>, token: u32, grpc: bool) -> u32 {
    let state = host.data_mut();
    state.token += 1;
    let number = state.token;
    state.callouts.push((number, grpc));
    write(host, token, &number.to_le_bytes());
    OK
}

pub(super) fn define(linker: &mut Linker<State>) {
    import!(
        linker,
        "proxy_send_local_response",
        |host, status: u32, _d: u32, _ds: u32, b: u32, bs: u32, h: u32, hs: u32, _grpc: u32| {
            let reply = Reply {
                status,
                headers: read_pairs(&read(&mut host, h, hs)),
                body: read(&mut host, b, bs),
            };
            host.data_mut().stream().reply.get_or_insert(reply);
            OK
        }
    );
    import!(
        linker,
        "proxy_http_call",
        about[at, size],
        |host,
         at: u32,
         size: u32,
         h: u32,
         hs: u32,
         _b: u32,
         _bs: u32,
         _t: u32,
         _ts: u32,
         _timeout: u32,
         token: u32| {
            read_pairs(&read(&mut host, h, hs));
            start(&mut host, token, false)
        }
    );
    import!(
        linker,
        "proxy_grpc_call",
        about[at, size],
        |host,
         at: u32,
         size: u32,
         _s: u32,
         _ss: u32,
         _m: u32,
         _ms: u32,
         md: u32,
         mds: u32,
         _b: u32,
         _bs: u32,
         _timeout: u32,
         token: u32| {
            read_pairs(&read(&mut host, md, mds));
            start(&mut host, token, true)
        }
    );
    // The SDK imports these; no filter calls them.
    import!(linker, "proxy_grpc_cancel", |host, _token: u32| NOT_FOUND);
    import!(linker, "proxy_grpc_close", |host, _token: u32| NOT_FOUND);
    import!(
        linker,
        "proxy_grpc_send",
        |host, _token: u32, _at: u32, _size: u32, _end: u32| NOT_FOUND
    );
    import!(
        linker,
        "proxy_grpc_stream",
        |host,
         _u: u32,
         _us: u32,
         _s: u32,
         _ss: u32,
         _m: u32,
         _ms: u32,
         _h: u32,
         _hs: u32,
         _id: u32| NOT_FOUND
    );
    import!(
        linker,
        "proxy_call_foreign_function",
        about[at, size],
        gives[data, length],
        |host, at: u32, size: u32, _a: u32, _as: u32, data: u32, length: u32| NOT_FOUND
    );
}
