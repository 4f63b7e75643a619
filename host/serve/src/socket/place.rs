//! Where the control socket lies: in a directory of the home that nobody but its user can enter. It follows no link there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use agentry_kernel::text::word;
use agentry_store::disk;
use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::ControlError;

const DIRECTORY: &str = "control";
const SOCKET: &str = "host.sock";

/// What mends a directory that is this user's.
const REMOVE: &str = "remove it; the next host makes it, for you alone to reach";

/// What mends one of somebody else, whose host may have it.
const BE_ITS_USER: &str = "act as the user whose home this is, or choose another one: --home DIR";

/// What the address of a socket has room for on the systems that we know, with its end.
const ADDRESS_MAX_BYTES: usize = 100;

/// The directory, held open, so that what was looked at is what is used.
pub(super) struct Place {
    directory: PathBuf,
    open: File,
}

impl Place {
    /// The place in this home, made if there is none.
    pub(super) fn make(home: &Path) -> Result<Self, ControlError> {
        let directory = home.join(DIRECTORY);
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(&directory, &error)),
            _ => {}
        }
        let place = Self::open(directory)?;
        // What the mask of a process took away, or somebody gave.
        place
            .open
            .set_permissions(fs::Permissions::from_mode(0o700))
            .map_err(|error| unusable(&place.directory, &error))?;
        Ok(place)
    }

    /// The place in this home as a host left it; none if there never was one.
    pub(super) fn find(home: &Path) -> Result<Option<Self>, ControlError> {
        let directory = home.join(DIRECTORY);
        match fs::symlink_metadata(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(&directory, &error)),
            Ok(is) if is.mode() & 0o077 != 0 => {
                // It may be that of a host which runs.
                Err(place(&directory, &"others can reach it", &format!("chmod 700 {}", word(directory.display()))))
            }
            Ok(_) => Self::open(directory).map(Some),
        }
    }

    /// False if nothing lies where the socket of this home does, its directory included.
    pub(super) fn has_socket(home: &Path) -> bool {
        let there = fs::symlink_metadata(home.join(DIRECTORY).join(SOCKET));
        !there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// The address of the socket, short enough for one wherever the home lies.
    pub(super) fn address(&self) -> PathBuf {
        let address = self.directory.join(SOCKET);
        if address.as_os_str().len() <= ADDRESS_MAX_BYTES {
            return address;
        }
        PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", self.open.as_raw_fd()))
    }

    /// Takes away what lies at the address: the socket of a host that has ended. Only who holds the store may.
    pub(super) fn clear(&self) -> Result<(), ControlError> {
        match fs::remove_file(self.directory.join(SOCKET)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(&self.directory, &error)),
            _ => Ok(()),
        }
    }

    /// Says who may connect: the directory keeps out all others already.
    pub(super) fn close_socket(&self) -> Result<(), ControlError> {
        fs::set_permissions(self.directory.join(SOCKET), fs::Permissions::from_mode(0o600))
            .map_err(|error| unusable(&self.directory, &error))
    }

    pub(super) fn unusable(&self, why: &io::Error) -> ControlError {
        unusable(&self.directory, why)
    }

    fn open(directory: PathBuf) -> Result<Self, ControlError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let flags = i32::try_from(flags.bits()).unwrap_or_default();
        let open = OpenOptions::new().read(true).custom_flags(flags).open(&directory);
        let open = open.map_err(|error| unusable(&directory, &error))?;
        let owner = open.metadata().map_err(|error| unusable(&directory, &error))?.uid();
        if is_trusted(owner) {
            Ok(Self { directory, open })
        } else {
            Err(place(&directory, &"it is another user's", BE_ITS_USER))
        }
    }
}

/// True for the user of this process, and for root; to root, everybody's things are its own.
pub(super) fn is_trusted(uid: u32) -> bool {
    let ours = geteuid();
    uid == ours.as_raw() || uid == 0 || ours.is_root()
}

fn unusable(directory: &Path, why: &io::Error) -> ControlError {
    let hint = match why.kind() {
        io::ErrorKind::PermissionDenied => BE_ITS_USER,
        io::ErrorKind::ReadOnlyFilesystem => disk::mend(why),
        _ if disk::is_full(why) => disk::mend(why),
        _ => REMOVE,
    };
    place(directory, why, hint)
}

fn place(directory: &Path, why: &dyn ToString, hint: &str) -> ControlError {
    ControlError::Place { path: directory.display().to_string(), why: why.to_string(), hint: hint.to_owned() }
}
