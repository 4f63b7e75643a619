//! An index of packages: a repository of The Update Framework (specification 1.0.31), with one delegation a publisher. Read by
//! [`client`], which believes nothing that is not signed, fresh and newer than before; written by [`repository`], for those who run one.
//!
//! Files lie as TUF says with consistent snapshots: `metadata/N.root.json`, `metadata/N.targets.json`, `metadata/N.PUBLISHER.json`,
//! `metadata/N.snapshot.json`, `metadata/timestamp.json`; `targets/PUBLISHER/AGENT/SHA256.VERSION.wasm` with its signature beside it.
//! Another client of TUF reads the same.

mod canonical;
pub mod client;
pub mod listed;
pub mod metadata;
pub mod repository;
pub mod signed;

#[cfg(test)]
mod tests;
