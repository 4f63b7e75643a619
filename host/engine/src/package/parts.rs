//! Counts what one run of a component takes of the places that an engine has: core instances, memories and tables, whatever is nested and however
//! often it is instantiated. It reads sections that are valid, and guesses high where something comes from outside.

use agentry_store::limits::{COMPONENT_INSTANCES_MAX, INSTANCES_MAX, MEMORIES_MAX, TABLES_MAX};
use serde::{Deserialize, Serialize};
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Encoding, Instance, Payload,
};

use super::PackageError;

/// Where a count was guessed, an engine finds out whether it fits, up to so many times as much.
const GUESSED_TIMES_MAX: usize = 8;

/// What a run has of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Instances of modules.
    pub instances: u32,
    /// Linear memories.
    pub memories: u32,
    /// Tables.
    pub tables: u32,
    /// Instances of components.
    pub components: u32,
}

impl Parts {
    /// Of what nobody knows: as much as a run may have.
    const MOST: Self = Self {
        instances: INSTANCES_MAX as u32,
        memories: MEMORIES_MAX as u32,
        tables: TABLES_MAX as u32,
        components: 1,
    };

    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
        self.components = self.components.saturating_add(other.components);
    }

    /// The first of them of which there are more than a run may have, so that nothing is compiled that no engine would take.
    fn excess(self, guessed: bool) -> Option<(u32, &'static str, usize)> {
        let all = [
            (self.instances, "core module instances", INSTANCES_MAX),
            (self.memories, "linear memories", MEMORIES_MAX),
            (self.tables, "tables", TABLES_MAX),
            (self.components, "component instances", COMPONENT_INSTANCES_MAX),
        ];
        // What was guessed high may be as much less as it is guessed.
        let slack = if guessed { GUESSED_TIMES_MAX } else { 1 };
        all.into_iter().find(|(count, _, max)| *count as usize > max.saturating_mul(slack))
    }
}

/// Counts, section by section, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct PartCount {
    scopes: Vec<Scope>,
    whole: Parts,
    /// Whether something in it may have less than it counts for.
    guessed: bool,
}

/// A module or a component that is being read.
#[derive(Debug, Default)]
struct Scope {
    is_module: bool,
    /// What one instance of it has.
    parts: Parts,
    /// Modules that it can name, by index.
    modules: Vec<Parts>,
    /// Components that it can name, by index.
    components: Vec<Parts>,
}

impl PartCount {
    /// All together.
    ///
    /// # Errors
    /// If a run may not have so many.
    pub(super) fn whole(&self) -> Result<Parts, PackageError> {
        match self.whole.excess(self.guessed) {
            None => Ok(self.whole),
            Some((count, what, max)) => {
                let least = if count == u32::MAX { "at least " } else { "" };
                let message =
                    format!("the component has {least}{count} {what}, which exceeds the configured maximum of {max}");
                Err(PackageError::new(message, "an agent of fewer parts does; each has its room before it begins"))
            }
        }
    }

    /// The next section, which is valid.
    ///
    /// # Errors
    /// If it cannot be read after all.
    pub(super) fn add(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        if let Payload::Version { encoding, .. } = payload {
            let is_module = *encoding == Encoding::Module;
            let (instances, components) = (u32::from(is_module), u32::from(!is_module));
            let parts = Parts { instances, components, ..Parts::default() };
            self.scopes.push(Scope { is_module, parts, ..Scope::default() });
            return Ok(());
        }
        if let Payload::End(_) = payload {
            self.end();
            return Ok(());
        }
        if let Payload::ComponentAliasSection(aliases) = payload {
            for alias in aliases.clone() {
                self.alias(&alias?);
            }
            return Ok(());
        }
        let Some(scope) = self.scopes.last_mut() else { return Ok(()) };
        match payload {
            Payload::MemorySection(memories) => scope.parts.memories = memories.count(),
            Payload::TableSection(tables) => scope.parts.tables = tables.count(),
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        scope.parts.add(named(&scope.modules, module_index));
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        scope.parts.add(named(&scope.components, component_index));
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    let ty = import?.ty;
                    self.guessed |= matches!(ty, ComponentTypeRef::Module(_) | ComponentTypeRef::Component(_));
                    match ty {
                        ComponentTypeRef::Module(_) => scope.modules.push(Parts::MOST),
                        ComponentTypeRef::Component(_) => scope.components.push(Parts::MOST),
                        _ => {}
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                // What is exported gets another name.
                for export in exports.clone() {
                    let export = export?;
                    scope.names(export.kind, |scope| match export.kind {
                        ComponentExternalKind::Module => named(&scope.modules, export.index),
                        _ => named(&scope.components, export.index),
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match alias {
            ComponentAlias::InstanceExport { kind, .. } => {
                self.guessed |= matches!(kind, ComponentExternalKind::Module | ComponentExternalKind::Component);
                if let Some(scope) = self.scopes.last_mut() {
                    scope.names(*kind, |_| Parts::MOST);
                }
            }
            ComponentAlias::Outer { kind, count, index } => {
                let outer = usize::try_from(*count).ok().and_then(|count| self.scopes.iter().rev().nth(count));
                let parts = outer.map_or(Parts::MOST, |outer| match kind {
                    ComponentOuterAliasKind::CoreModule => named(&outer.modules, *index),
                    _ => named(&outer.components, *index),
                });
                let Some(scope) = self.scopes.last_mut() else { return };
                match kind {
                    ComponentOuterAliasKind::CoreModule => scope.modules.push(parts),
                    ComponentOuterAliasKind::Component => scope.components.push(parts),
                    ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => {}
                }
            }
            ComponentAlias::CoreInstanceExport { .. } => {}
        }
    }

    fn end(&mut self) {
        let Some(Scope { is_module, parts, .. }) = self.scopes.pop() else { return };
        match self.scopes.last_mut() {
            Some(around) if is_module => around.modules.push(parts),
            Some(around) => around.components.push(parts),
            None => self.whole = parts,
        }
    }
}

impl Scope {
    /// One more name for a module or a component; what else has a name takes no place.
    fn names(&mut self, kind: ComponentExternalKind, parts: impl FnOnce(&Self) -> Parts) {
        match kind {
            ComponentExternalKind::Module => {
                let parts = parts(self);
                self.modules.push(parts);
            }
            ComponentExternalKind::Component => {
                let parts = parts(self);
                self.components.push(parts);
            }
            _ => {}
        }
    }
}

fn named(all: &[Parts], index: u32) -> Parts {
    usize::try_from(index).ok().and_then(|index| all.get(index)).copied().unwrap_or(Parts::MOST)
}
