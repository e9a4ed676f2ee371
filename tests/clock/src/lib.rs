//! Moves the wall clock of the process that it is preloaded into by as many seconds as the file `SEAWALL_CLOCK` says, at any
//! time. The monotonic clock stays as it is, as it does when a real clock is set.
//!
//! The file holds one `i64` in the machine's order and is mapped, so that reading the clock costs no system call more.

use libc::{c_int, clockid_t, timespec};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

static OFFSET: AtomicPtr<AtomicI64> = AtomicPtr::new(null_mut());
/// What is read until the file is mapped, and when it cannot be.
static NONE: AtomicI64 = AtomicI64::new(0);

fn offset() -> i64 {
    let mut mapped = OFFSET.load(Ordering::Acquire);
    if mapped.is_null() {
        mapped = map().unwrap_or((&raw const NONE).cast_mut());
        OFFSET.store(mapped, Ordering::Release);
    }
    // SAFETY: it points to a mapping that is never undone, or to the static.
    unsafe { (*mapped).load(Ordering::Relaxed) }
}

fn map() -> Option<*mut AtomicI64> {
    // SAFETY: plain calls of the C library, whose results are checked.
    unsafe {
        let path = libc::getenv(c"SEAWALL_CLOCK".as_ptr());
        if path.is_null() {
            return None;
        }
        let file = libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return None;
        }
        let mapped = libc::mmap(null_mut(), 8, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        libc::close(file);
        (mapped != libc::MAP_FAILED).then_some(mapped.cast())
    }
}

/// Stands in for the C library's.
///
/// # Safety
/// As there: `time` points to a `timespec`.
#[no_mangle]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    // The system call itself: to look up the function that this one hides would need memory, whose allocator may not
    // be up yet.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if result == 0 && (clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE) {
        // SAFETY: the system call has just written there.
        unsafe { (*time).tv_sec += offset() };
    }
    result as c_int
}
