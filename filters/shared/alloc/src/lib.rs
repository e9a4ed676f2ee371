//! The memory of a module: small blocks from lists by size, the rest from the allocator of the standard library.
//!
//! A request allocates some dozen blocks of a few bytes to a few hundred and gives all of them back. A general allocator
//! looks for the best fit and joins what is next to each other; here a block goes back to the list of its size and is the
//! next to be given out, while it is still in the processor's cache. What a list has taken it keeps, so the memory of
//! lists is that of the most blocks of each size that were in use at once.
//!
//! A crate becomes a user with `use seawall_alloc as _;`. Only for WebAssembly without threads.

#![allow(unsafe_code, reason = "an allocator hands out memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

/// Sizes are rounded up to this, and blocks are aligned to it.
const STEP: usize = 16;
/// The largest block that comes from a list; a usual header map fits.
const LARGEST: usize = 2048;
const LISTS: usize = LARGEST / STEP;
/// What is fetched for the lists at once.
const CHUNK: usize = 16 * 1024;

/// A block that nobody uses: its first bytes say where the next one of its size is.
type Free = *mut *mut u8;

struct Lists {
    heads: [*mut u8; LISTS],
    /// What is left of the last chunk.
    rest: *mut u8,
    left: usize,
}

/// The allocator.
#[derive(Debug)]
pub struct Alloc(UnsafeCell<Lists>);

impl std::fmt::Debug for Lists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lists")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

// SAFETY: WebAssembly without threads has one; elsewhere the lists are not used at all.
unsafe impl Sync for Alloc {}

/// The list for blocks of this layout; `None` for those that come from the standard library.
#[inline]
fn list(layout: &Layout) -> Option<usize> {
    // A test has an allocator of its own, and one thread that uses it.
    let alone = cfg!(any(
        test,
        all(target_arch = "wasm32", not(target_feature = "atomics"))
    ));
    let small = layout.size() <= LARGEST && layout.align() <= STEP;
    // Sizes from 1 on: 1 to 16 are the first list. The host may ask for nothing, and gets the smallest.
    (alone && small).then(|| layout.size().saturating_sub(1) / STEP)
}

impl Alloc {
    /// Without any memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Alloc(UnsafeCell::new(Lists {
            heads: [null_mut(); LISTS],
            rest: null_mut(),
            left: 0,
        }))
    }

    /// Cuts a block off the last chunk, or off a new one.
    #[cold]
    #[inline(never)]
    fn cut(&self, list: usize) -> *mut u8 {
        let size = list.saturating_add(1).saturating_mul(STEP);
        // SAFETY: there is one thread, and nothing that is called here comes back.
        let lists = unsafe { &mut *self.0.get() };
        if lists.left < size {
            let Ok(chunk) = Layout::from_size_align(CHUNK, STEP) else {
                return null_mut();
            };
            // SAFETY: the size is not zero.
            let fresh = unsafe { System.alloc(chunk) };
            if fresh.is_null() {
                return fresh;
            }
            // What was left stays unused: less than the largest block for each chunk.
            (lists.rest, lists.left) = (fresh, CHUNK);
        }
        let block = lists.rest;
        // SAFETY: `size` bytes are left of the chunk.
        lists.rest = unsafe { block.add(size) };
        lists.left = lists.left.saturating_sub(size);
        block
    }
}

impl Default for Alloc {
    fn default() -> Self {
        Alloc::new()
    }
}

// SAFETY: a block belongs to one list, by its layout, which is the same when it comes back; it is at least as large, and
// aligned to `STEP`, as chunks are and all sizes are multiples of it. It is in a list or in use, never both.
unsafe impl GlobalAlloc for Alloc {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list(&layout) else {
            // SAFETY: as promised to this function.
            return unsafe { System.alloc(layout) };
        };
        // SAFETY: there is one thread.
        let lists = unsafe { &mut *self.0.get() };
        match lists.heads.get_mut(list) {
            Some(head) if !head.is_null() => {
                let block = *head;
                // SAFETY: a block in a list holds the next one.
                *head = unsafe { *block.cast::<*mut u8>() };
                block
            }
            _ => self.cut(list),
        }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(list) = list(&layout) else {
            // SAFETY: as promised to this function; the layout says where it came from.
            return unsafe { System.dealloc(block, layout) };
        };
        // SAFETY: there is one thread.
        let lists = unsafe { &mut *self.0.get() };
        if let Some(head) = lists.heads.get_mut(list) {
            // SAFETY: the block has at least `STEP` bytes, aligned to that, and nobody uses it any more.
            unsafe { *(block as Free) = *head };
            *head = block;
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(size, layout.align()) else {
            return null_mut();
        };
        match (list(&layout), list(&new)) {
            // SAFETY: as promised to this function.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (one, other) if one == other => block,
            _ => {
                // SAFETY: the size is not zero, as promised to this function.
                let moved = unsafe { self.alloc(new) };
                if !moved.is_null() {
                    let kept = layout.size().min(size);
                    // SAFETY: both blocks have that many bytes, and they are two.
                    unsafe { block.copy_to_nonoverlapping(moved, kept) };
                    // SAFETY: as promised to this function.
                    unsafe { self.dealloc(block, layout) };
                }
                moved
            }
        }
    }
}

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static MEMORY: Alloc = Alloc::new();

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]
mod tests {
    use super::*;

    /// A block in use, and the byte that all of it holds.
    struct Block {
        at: *mut u8,
        layout: Layout,
        filled: u8,
    }

    impl Block {
        fn fill(&mut self, filled: u8) {
            self.filled = filled;
            unsafe { self.at.write_bytes(filled, self.layout.size()) };
        }

        fn check(&self, bytes: usize) {
            assert_eq!(self.at as usize % self.layout.align(), 0);
            let all = unsafe { std::slice::from_raw_parts(self.at, bytes) };
            assert!(
                all.iter().all(|byte| *byte == self.filled),
                "{:?}",
                self.layout
            );
        }
    }

    fn layout(size: usize) -> Layout {
        let align = [1, 2, 4, 8, 16, 64][size % 6];
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn no_two_blocks_in_use_overlap() {
        let memory = Alloc::new();
        let mut used: Vec<Block> = Vec::new();
        let mut state = 7u64;
        let mut random = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % below
        };
        for step in 0..60_000 {
            let size = [1, 16, 17, 40, 500, 2048, 2049, 9000][random(8)] + random(3);
            match random(3) {
                0 if !used.is_empty() => {
                    let block = used.swap_remove(random(used.len()));
                    block.check(block.layout.size());
                    unsafe { memory.dealloc(block.at, block.layout) };
                }
                1 if !used.is_empty() => {
                    let place = random(used.len());
                    let block = &mut used[place];
                    let kept = block.layout.size().min(size);
                    block.at = unsafe { memory.realloc(block.at, block.layout, size) };
                    block.layout = Layout::from_size_align(size, block.layout.align()).unwrap();
                    block.check(kept);
                    block.fill(step as u8);
                }
                _ => {
                    let layout = layout(size);
                    let at = unsafe { memory.alloc(layout) };
                    let mut block = Block {
                        at,
                        layout,
                        filled: 0,
                    };
                    block.fill(step as u8);
                    used.push(block);
                }
            }
            if used.len() > 200 {
                let block = used.swap_remove(0);
                block.check(block.layout.size());
                unsafe { memory.dealloc(block.at, block.layout) };
            }
        }
        for block in used {
            block.check(block.layout.size());
            unsafe { memory.dealloc(block.at, block.layout) };
        }
    }

    #[test]
    fn what_came_back_is_given_out_again() {
        let memory = Alloc::new();
        let (small, other) = (Layout::new::<[u8; 40]>(), Layout::new::<[u8; 48]>());
        let one = unsafe { memory.alloc(small) };
        unsafe { memory.dealloc(one, small) };
        // 40 and 48 bytes are the same list.
        assert_eq!(unsafe { memory.alloc(other) }, one);
        let two = unsafe { memory.alloc(small) };
        assert_ne!(one, two);
        unsafe {
            memory.dealloc(one, other);
            memory.dealloc(two, small);
        }
        let lists = unsafe { &*memory.0.get() };
        assert_eq!(lists.left, CHUNK - 2 * 48);
    }
}
