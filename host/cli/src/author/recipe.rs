//! What made a component, as the component says it itself: whoever builds it again learns there which toolchain that takes.
//!
//! It stands in the `producers` section (<https://github.com/WebAssembly/tool-conventions/blob/main/ProducersSection.md>), where other
//! programs look for it as well. It vouches for nothing.

use std::path::Path;

use agentry_sysroot::{Rustc, Std};
use anyhow::{Context, Result};
use wasm_metadata::Producers;

use super::sdk;
use super::target::Target;

const FIELD: &str = "processed-by";

/// What decides the bytes beside the source, each as it is named and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe(Vec<(&'static str, String)>);

/// The names, in the order in which a difference is worth telling.
const NAMES: [&str; 6] = ["rustc", "rustc-host", "rustc-target", "rust-std", "agentry", "agentry-sdk"];

impl Recipe {
    /// That of a build here and now.
    pub fn of(directory: &Path, rustc: &Rustc, std: &Std, target: Target) -> Self {
        let sdk = sdk::is_used(directory).then(|| sdk::digest().to_string()[..16].to_owned());
        let values = [
            Some(format!("{} ({})", rustc.release, rustc.short_commit())),
            Some(rustc.host.clone()),
            Some(target.triple().to_owned()),
            Some(std.origin.to_owned()),
            Some(env!("CARGO_PKG_VERSION").to_owned()),
            sdk,
        ];
        Self(NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect())
    }

    /// What a component says; none if it says nothing of it. The component has passed the gate.
    pub fn read(component: &[u8]) -> Option<Self> {
        let producers = Producers::from_wasm(component).ok()??;
        let field = producers.get(FIELD)?;
        let said = NAMES.into_iter().filter_map(|name| Some((name, field.get(name)?.clone())));
        let said: Vec<_> = said.collect();
        // Other toolchains name their compiler too, and nothing of ours.
        said.iter().any(|(name, _)| *name == "rustc-target").then_some(Self(said))
    }

    /// The component with this in it.
    pub fn record(&self, component: &[u8]) -> Result<Vec<u8>> {
        let mut producers = Producers::empty();
        for (name, value) in &self.0 {
            producers.add(FIELD, name, value);
        }
        producers.add_to_wasm(component).context("what cargo made is no component")
    }

    /// What it was compiled for.
    pub fn target(&self) -> Option<Target> {
        let named = self.value("rustc-target")?;
        [Target::Wasip2, Target::Pure].into_iter().find(|target| target.triple() == named)
    }

    /// What else stands in another one: the name, what stands here, what stands there.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<(&'static str, &'a str, &'a str)> {
        let both = NAMES.into_iter().map(|name| (name, self.value(name), other.value(name)));
        let differs = both.filter(|(_, here, there)| here != there);
        differs.map(|(name, here, there)| (name, here.unwrap_or("none"), there.unwrap_or("none"))).collect()
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component of nothing.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn recipe(release: &str) -> Recipe {
        let rustc = Rustc {
            release: release.into(),
            commit: "59807616e1fa2540724bfbac14d7976d7e4a3860".into(),
            host: "x86_64-unknown-linux-gnu".into(),
            sysroot: "/opt/rust".into(),
        };
        Recipe::of(Path::new("/nowhere"), &rustc, &Std { sysroot: None, origin: "toolchain" }, Target::Pure)
    }

    #[test]
    fn what_made_a_component_is_read_back_and_told_apart() {
        let (this, other) = (recipe("1.95.0"), recipe("1.96.0"));
        let recorded = this.record(EMPTY).expect("a component");
        assert_eq!(Recipe::read(&recorded), Some(this.clone()));
        assert_eq!(Recipe::read(EMPTY), None);
        assert_eq!(this.target(), Some(Target::Pure));
        assert!(this.differences(&this).is_empty());
        assert_eq!(this.differences(&other), [("rustc", "1.95.0 (59807616e)", "1.96.0 (59807616e)")]);
        let twice = this.record(&other.record(EMPTY).expect("a component")).expect("a component");
        assert_eq!(Recipe::read(&twice), Some(this), "there is one section, and it says the last");
    }
}
