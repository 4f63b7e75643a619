//! The contracts. With guests: the syscall table of `wit/` as Rust types, and how an error reaches them. With drivers: what one is given and
//! gives back. It decides nothing and does nothing.

pub mod asked;
pub mod bindings;
pub mod clock;
pub mod driver;
pub mod fault;
pub mod port;
pub mod usage;
pub mod wire;
