//! Trusts: whose signature a package has, whether this home takes it, which index lists it, and which agents are installed. It runs
//! nothing of a package, takes none apart (the preparer does) and asks nobody: a face shows and asks.

pub mod config;
pub mod cosign;
mod fault;
pub mod file;
pub mod holders;
pub mod identity;
pub mod index;
pub mod key;
pub mod keyring;
pub mod limits;
pub mod lock;
pub mod name;
pub mod oci;
pub mod party;
pub mod sbom;
pub mod set;
pub mod signers;
pub mod source;
pub mod statement;
pub mod team;

pub use fault::{Fault, Kind};
