//! The few functions of WASI that Rust's std needs.

use super::{read, write, Host, OK};
use crate::state::{CallAnswer, State};
use wasmi::Linker;

const WASI: &str = "wasi_snapshot_preview1";
const ONCE: &str = "defined once";

pub(super) fn define(linker: &mut Linker<State>) {
    linker
        .func_wrap(
            WASI,
            "random_get",
            |mut host: Host<'_>, at: u32, size: u32| -> u32 {
                let fault = host.data_mut().enter("random_get", String::new(), false);
                if let Some(CallAnswer::Status(status)) = fault {
                    return status;
                }
                let seed = host.data().calls.len() as u8;
                let bytes: Vec<u8> = (0..size)
                    .map(|n| seed.wrapping_mul(31).wrapping_add(n as u8).wrapping_mul(97))
                    .collect();
                write(&mut host, at, &bytes);
                OK
            },
        )
        .expect(ONCE);
    linker
        .func_wrap(
            WASI,
            "fd_write",
            |mut host: Host<'_>, _fd: u32, vectors: u32, count: u32, written: u32| -> u32 {
                let mut text = Vec::new();
                for vector in 0..count {
                    let head = read(&mut host, vectors + vector * 8, 8);
                    let number =
                        |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four"));
                    text.extend(read(&mut host, number(0), number(4)));
                }
                write(&mut host, written, &(text.len() as u32).to_le_bytes());
                let text = String::from_utf8_lossy(&text).into_owned();
                host.data_mut().log.push(text);
                OK
            },
        )
        .expect(ONCE);
    linker
        .func_wrap(
            WASI,
            "environ_sizes_get",
            |mut host: Host<'_>, count: u32, size: u32| -> u32 {
                write(&mut host, count, &[0; 4]);
                write(&mut host, size, &[0; 4]);
                OK
            },
        )
        .expect(ONCE);
    linker
        .func_wrap(WASI, "environ_get", |_: Host<'_>, _: u32, _: u32| -> u32 {
            OK
        })
        .expect(ONCE);
    linker
        .func_wrap(
            WASI,
            "clock_time_get",
            |mut host: Host<'_>, _id: u32, _precision: u64, at: u32| -> u32 {
                let now = host.data().now;
                write(&mut host, at, &now.to_le_bytes());
                OK
            },
        )
        .expect(ONCE);
    linker
        .func_wrap(
            WASI,
            "proc_exit",
            |_: Host<'_>, code: u32| -> Result<(), wasmi::Error> {
                Err(wasmi::Error::new(format!("proc_exit({code})")))
            },
        )
        .expect(ONCE);
}
