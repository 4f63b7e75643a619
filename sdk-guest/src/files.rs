//! Directories under granted names, as `wit/files.wit` defines them.

use crate::bindings::agentry::agent::files as wit;
use crate::host;
use crate::types::Error;

pub use wit::FileStat;

/// Bytes that one read asks for: what the table gives at most.
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// Directories that a walk goes down at most.
const DEPTH_MAX: usize = 32;

/// A root by its name. Naming one asks for nothing; its calls do.
///
/// ```no_run
/// # fn read() -> Result<(), agentry::Failure> {
/// let text = agentry::files::root("documents").read_to_string("letters/1.md")?;
/// # Ok(()) }
/// ```
#[must_use]
pub fn root(name: impl Into<String>) -> Root {
    Root { name: name.into() }
}

/// A directory that the admin gave a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    name: String,
}

impl Root {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole file.
    ///
    /// # Errors
    /// `not-found`, or `denied` if the agent may not read here.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        let mut content = self.read_range(path, 0, READ_BYTES)?;
        let mut last = content.len() as u64;
        // A short read is the end: the host fills what was asked for where it can.
        while last == READ_BYTES {
            let more = self.read_range(path, content.len() as u64, READ_BYTES)?;
            last = more.len() as u64;
            content.extend(more);
        }
        Ok(content)
    }

    /// The whole file as text.
    ///
    /// # Errors
    /// `invalid` if it is not UTF-8.
    pub fn read_to_string(&self, path: &str) -> Result<String, Error> {
        String::from_utf8(self.read(path)?).map_err(|_| Error::Invalid(format!("`{path}` is not UTF-8 text")))
    }

    /// At most `length` bytes from `offset`, and at most 4 MiB; empty at the end of the file.
    ///
    /// # Errors
    /// `not-found`, or `denied` if the agent may not read here.
    pub fn read_range(&self, path: &str, offset: u64, length: u64) -> Result<Vec<u8>, Error> {
        host::quick(|| wit::read(&self.name, path, offset, length))
    }

    /// Makes the file with this content, or replaces it whole; missing directories are made.
    ///
    /// # Errors
    /// `denied` if the agent may not write here.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<(), Error> {
        host::quick(|| wit::write(&self.name, path, content.as_ref()))
    }

    /// What is known of a file or directory without reading it.
    ///
    /// # Errors
    /// `not-found` if there is none.
    pub fn stat(&self, path: &str) -> Result<FileStat, Error> {
        host::quick(|| wit::stat(&self.name, path))
    }

    /// What a directory holds, by name; `""` is the root itself.
    ///
    /// # Errors
    /// `not-found` if there is no such directory.
    pub fn list(&self, path: &str) -> Result<Vec<FileStat>, Error> {
        host::quick(|| wit::list(&self.name, path))
    }

    /// Removes a file or an empty directory.
    ///
    /// # Errors
    /// `not-found` if there is none.
    pub fn delete(&self, path: &str) -> Result<(), Error> {
        host::quick(|| wit::delete(&self.name, path))
    }

    /// Every file in and below a directory, by path. A directory that cannot be listed gives its error and the walk goes on.
    ///
    /// ```no_run
    /// # fn walk() -> Result<(), agentry::Failure> {
    /// for file in agentry::files::root("documents").walk("") {
    ///     agentry::log::info(file?.path);
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn walk(&self, path: &str) -> Walk {
        Walk { root: self.clone(), levels: Vec::new(), start: Some(path.to_owned()) }
    }
}

/// Files below a directory, depth first and in the order of their names.
#[derive(Debug)]
pub struct Walk {
    root: Root,
    levels: Vec<std::vec::IntoIter<FileStat>>,
    start: Option<String>,
}

impl Walk {
    fn enter(&mut self, path: &str) -> Result<(), Error> {
        if self.levels.len() == DEPTH_MAX {
            return Err(Error::Invalid(format!("`{path}` is more than {DEPTH_MAX} directories deep")));
        }
        self.levels.push(self.root.list(path)?.into_iter());
        Ok(())
    }
}

impl Iterator for Walk {
    type Item = Result<FileStat, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(start) = self.start.take()
            && let Err(error) = self.enter(&start)
        {
            return Some(Err(error));
        }
        while let Some(level) = self.levels.last_mut() {
            match level.next() {
                None => {
                    self.levels.pop();
                }
                Some(found) if found.directory => {
                    if let Err(error) = self.enter(&found.path) {
                        return Some(Err(error));
                    }
                }
                Some(found) => return Some(Ok(found)),
            }
        }
        None
    }
}
