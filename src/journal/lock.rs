//! Who owns a boot directory: the process that holds the lock on its `lock` file.
//!
//! The operating system drops the lock with the process, however it ends, so a directory whose lock is free belongs to
//! nobody any more. The lock says nothing about threads of one process; `mod` hands out one [`BootLock`] per directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "lock";

/// A held lock. Dropping it frees the directory for adoption.
#[derive(Debug)]
pub(super) struct BootLock {
    _file: File,
    path: PathBuf,
}

// === impl BootLock ===

impl BootLock {
    /// Makes `parent/name`, locked from the moment it can be seen under that name: it is made and locked under a
    /// hidden name first, or a process that starts at the same time could adopt it in between.
    pub(super) fn create_dir(parent: &Path, name: &str) -> io::Result<(PathBuf, Self)> {
        let hidden = parent.join(format!(".new-{name}"));
        let dir = parent.join(name);
        fs::create_dir(&hidden)?;
        let file = File::create_new(hidden.join(LOCK_FILE))?;
        file.lock()?;
        fs::rename(&hidden, &dir)?;
        let path = dir.join(LOCK_FILE);
        Ok((dir, Self { _file: file, path }))
    }

    /// Takes the lock of `dir` when nobody holds it; `None` when its owner lives, or the directory is gone.
    pub(super) fn adopt_dir(dir: &Path) -> io::Result<Option<Self>> {
        let path = dir.join(LOCK_FILE);
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(err) => return Err(err),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file, path })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(err)) => Err(err),
        }
    }

    /// Removes the lock file and its directory; the directory stays when something else is in it, such as the lock file
    /// of a process that looks for the dead at this very moment.
    ///
    /// Precondition: no record of the directory is needed any more.
    pub(super) fn remove_dir(&self) -> io::Result<()> {
        let removed = fs::remove_file(&self.path)
            .and_then(|()| self.path.parent().map_or(Ok(()), fs::remove_dir));
        match removed {
            Err(err)
                if !matches!(
                    err.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(err)
            }
            _ => Ok(()),
        }
    }
}
