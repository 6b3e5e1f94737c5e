//! The end of a state file in memory: a frame is copied there, and no system call is needed to write it.
//!
//! Owns the mapping and the order in which a frame becomes part of the file, and is all the unsafe code of the
//! store. Only files of a tmpfs are mapped, and only what was reserved: there a full disk is an error when it is
//! reserved, and what is reserved can be written; elsewhere a full or broken disk could end the daemon
//! (SIGBUS). Where the frames of a file end it does not know.
#![allow(unsafe_code)]

use std::{
    fs::File,
    io, ptr, slice,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    fs::{FallocateFlags, FsWord, fallocate, fstatfs},
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

use super::frame::{FRAME_HEAD, LENGTH};
use crate::crash;

/// So much is reserved at once: little to have resident, and enough for some fifty turns.
const BYTES: u64 = 64 * 1024;
/// But no more than this part of what is free, where that is little.
const SHARE: u64 = 4;
/// Where a window may begin: a multiple of the pages of nearly all machines. On others mapping fails.
const PAGE: u64 = 16 * 1024;
/// As `statfs` names a tmpfs.
const TMPFS: FsWord = 0x0102_1994;

/// A piece of a file, mapped.
#[derive(Debug)]
pub struct Window {
    memory: *mut u8,
    bytes: usize,
    /// Where in the file it begins.
    from: u64,
}

impl Window {
    /// Reserves and maps what comes behind the `end` of a file's frames, with room for one of this length.
    pub fn reserve(file: &File, end: u64, length: usize) -> io::Result<Window> {
        let system = fstatfs(file)?;
        if system.f_type != TMPFS {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let block = u64::try_from(system.f_bsize).unwrap_or(0);
        let free = system.f_bavail.saturating_mul(block);
        let from = end - end % PAGE;
        let needed = end - from + length as u64;
        let bytes = needed.max(BYTES.min(free / SHARE)).next_multiple_of(PAGE);
        crash::point();
        fallocate(file, FallocateFlags::empty(), from, bytes)?;
        crash::point();
        let bytes = usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses where, so nothing that is there already is mapped over.
        let memory =
            unsafe { mmap(ptr::null_mut(), bytes, protection, MapFlags::SHARED, file, from) }?;
        Ok(Window { memory: memory.cast(), bytes, from })
    }

    /// Appends a frame at the end of the others; false if it does not fit in here. Its length comes last and
    /// at once: before, nothing is there.
    pub fn write(&self, end: u64, frame: &[u8]) -> bool {
        let Some(at) = end.checked_sub(self.from).and_then(|at| usize::try_from(at).ok()) else {
            return false;
        };
        let is_aligned = at.is_multiple_of(align_of::<AtomicU32>());
        let Some((head, payload)) = frame.split_at_checked(FRAME_HEAD) else { return false };
        let Some((length, sums)) = head.split_first_chunk::<LENGTH>() else { return false };
        if !is_aligned || self.bytes.checked_sub(at).is_none_or(|room| room < frame.len()) {
            return false;
        }
        // SAFETY: `at` and all of the frame are within the mapping, as was just seen. It lives as long as
        // `self`, is referred to from nowhere else while this runs (`Window` is neither `Send` nor `Sync`),
        // and nobody else changes the file or cuts it short: its directory is the daemon's own and locked, and
        // `Log` drops the window before it shortens the file.
        let place = unsafe { slice::from_raw_parts_mut(self.memory.add(at), frame.len()) };
        let Some((head, place)) = place.split_at_mut_checked(FRAME_HEAD) else { return false };
        place.copy_from_slice(payload);
        crash::point();
        let Some((first, rest)) = head.split_first_chunk_mut::<LENGTH>() else { return false };
        rest.copy_from_slice(sums);
        crash::point();
        // SAFETY: four bytes of the mapping, aligned, as was just seen, and borrowed here alone. What was copied
        // before stays before it: `Release`.
        let first = unsafe { AtomicU32::from_ptr(first.as_mut_ptr().cast()) };
        first.store(u32::from_ne_bytes(*length), Ordering::Release);
        true
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, and nothing refers to it any more.
        let _ = unsafe { munmap(self.memory.cast(), self.bytes) };
    }
}
