//! Nothing: this crate is its tests. They start `agentry` as a person would and look at what comes out.
