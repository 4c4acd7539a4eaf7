//! What the journal asks of a disk, behind a trait so that a test can have a disk that is full or broken.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

/// The operations on a segment's file that can fail for want of room or of a working disk.
pub(super) trait Disk: Debug + Send + Sync {
    /// Gives a new, empty file its whole size, so that writing into it cannot fail for want of room.
    fn preallocate(&self, file: &File, bytes: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes what was written survive a power loss.
    fn sync(&self, file: &File) -> io::Result<()>;
}

/// The operating system's.
#[derive(Debug, Default)]
pub(super) struct OsDisk {
    /// It was said that this file system reserves nothing.
    said: AtomicBool,
}

impl Disk for OsDisk {
    fn preallocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, bytes)) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                if !self.said.swap(true, Ordering::Relaxed) {
                    log::warn!(
                        "the journal's file system cannot reserve room: a disk that is full may show when a request ends and not before it begins"
                    );
                }
                file.set_len(bytes)
            }
            Err(err) => Err(err.into()),
        }
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}
