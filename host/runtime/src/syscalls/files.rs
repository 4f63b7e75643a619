//! `files`: directories under granted names.

use agentry_abi::bindings::agentry::agent::files::{FileStat, Host};
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Octets;
use agentry_abi::port::{FilesDelete, FilesList, FilesRead, FilesStat, FilesWrite};

use super::State;

impl Host for State {
    async fn read(
        &mut self,
        root: String,
        path: String,
        offset: u64,
        length: u64,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let read = self.stand(FilesRead { root, path, offset, length })?;
        Ok(read.await.map(|octets| octets.0))
    }

    async fn write(&mut self, root: String, path: String, content: Vec<u8>) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.stand(FilesWrite { root, path, content: Octets(content) })?.await)
    }

    async fn stat(&mut self, root: String, path: String) -> wasmtime::Result<Result<FileStat, Error>> {
        Ok(self.stand(FilesStat { root, path })?.await)
    }

    async fn list(&mut self, root: String, path: String) -> wasmtime::Result<Result<Vec<FileStat>, Error>> {
        Ok(self.stand(FilesList { root, path })?.await)
    }

    async fn delete(&mut self, root: String, path: String) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.stand(FilesDelete { root, path })?.await)
    }
}
