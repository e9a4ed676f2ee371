//! The functions that a module imports: proxy-wasm ABI 0.2.1 and the few of WASI that Rust's std needs.

mod calls;
mod general;
mod maps;
mod shared;
mod wasi;

use crate::state::{Pairs, State};
use wasmi::{Caller, Extern, Linker, Memory};

type Host<'a> = Caller<'a, State>;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const EMPTY: u32 = 7;
const CAS_MISMATCH: u32 = 8;

fn memory(host: &Host<'_>) -> Memory {
    host.get_export("memory")
        .and_then(Extern::into_memory)
        .expect("a module exports its memory")
}

/// What lies there, which nobody is charged for.
fn peek(host: &Host<'_>, at: u32, size: u32) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    memory(host)
        .read(host, at as usize, &mut bytes)
        .expect("the module passes its own memory");
    bytes
}

fn read(host: &mut Host<'_>, at: u32, size: u32) -> Vec<u8> {
    host.data_mut().copied += u64::from(size);
    peek(host, at, size)
}

fn write(host: &mut Host<'_>, at: u32, bytes: &[u8]) {
    host.data_mut().copied += bytes.len() as u64;
    let memory = memory(host);
    memory
        .write(host, at as usize, bytes)
        .expect("the module passes its own memory");
}

/// Gives bytes away in memory that the module allocates.
fn give(host: &mut Host<'_>, bytes: &[u8], data: u32, size: u32) -> u32 {
    let chaos = host.data_mut().chaos.as_mut();
    let bent = chaos.map(|chaos| chaos.bend(bytes));
    let bytes = bent.as_deref().unwrap_or(bytes);
    let allocate = host
        .get_export("proxy_on_memory_allocate")
        .or_else(|| host.get_export("malloc"))
        .and_then(Extern::into_func)
        .expect("a module exports an allocator");
    let allocate = allocate.typed::<u32, u32>(&*host).expect("of this type");
    let at = allocate
        .call(&mut *host, bytes.len() as u32)
        .expect("that works");
    write(host, at, bytes);
    write(host, data, &at.to_le_bytes());
    write(host, size, &(bytes.len() as u32).to_le_bytes());
    OK
}

pub(crate) fn write_pairs(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in pairs {
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        bytes.extend(name.iter().chain([&0]).chain(value).chain([&0]));
    }
    bytes
}

/// What a module passes must be whole: a test host that guesses would hide a mistake.
fn read_pairs(bytes: &[u8]) -> Pairs {
    let number = |at: usize| {
        let four = bytes.get(at..at + 4).expect("a whole number");
        u32::from_le_bytes(four.try_into().expect("four")) as usize
    };
    let count = number(0);
    let mut at = 4 + count * 8;
    let mut pairs = Vec::new();
    for pair in 0..count {
        let (name, value) = (number(4 + pair * 8), number(8 + pair * 8));
        let part = |start: usize, size: usize| bytes[start..start + size].to_vec();
        pairs.push((part(at, name), part(at + name + 1, value)));
        at += name + value + 2;
    }
    pairs
}

/// Bytes as something that can be compared and shown.
fn label(bytes: &[u8]) -> String {
    let parts = bytes.split(|b| *b == 0).map(String::from_utf8_lossy);
    parts.collect::<Vec<_>>().join(".")
}

/// Defines an import that goes wrong when the state says so: `[at, size]` is what it is about, `-> [data, size]` where it
/// leaves the bytes it gives.
macro_rules! import {
    (
        $linker:ident, $name:literal
        $(, about [$at:ident, $size:ident])?
        $(, gives [$data:ident, $length:ident])?
        , |$host:ident $(, $argument:ident: $type:ty)*| $body:expr
    ) => {
        $linker
            .func_wrap("env", $name, |mut $host: Host<'_> $(, $argument: $type)*| -> u32 {
                #[allow(unused_mut, unused_assignments, reason = "not every call has both")]
                let (mut about, mut gives) = (String::new(), false);
                $( about = super::label(&super::peek(&$host, $at, $size)); )?
                $( let _ = $data; gives = { let _ = $length; true }; )?
                match $host.data_mut().enter($name, about, gives) {
                    Some(crate::state::CallAnswer::Status(status)) => return status,
                    Some(crate::state::CallAnswer::Bytes(_bytes)) => {
                        $( return super::give(&mut $host, &_bytes, $data, $length); )?
                    }
                    None => {}
                }
                #[allow(unreachable_code, reason = "a call that gives bytes has returned above")]
                { $body }
            })
            .expect("defined once")
    };
}
use import;

/// Defines everything.
pub(crate) fn define(linker: &mut Linker<State>) {
    general::define(linker);
    maps::define(linker);
    shared::define(linker);
    calls::define(linker);
    wasi::define(linker);
}
