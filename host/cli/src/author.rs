//! What `agentry new` and `agentry build` do: from an author's crate to a component that carries its manifest.
//!
//! It runs the author's toolchain and never the component, and asks nobody on the web but a server whose tools are to be a package.

pub mod cargo;
pub mod component;
pub mod manifest;
pub mod mcp;
pub mod pack;
pub mod rebuild;
pub mod recipe;
pub mod sbom;
pub mod sdk;
pub mod sections;
pub mod target;
pub mod template;
pub mod world;
