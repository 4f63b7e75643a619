//! Which module of a crate imports which, read off the paths in its text. It knows Rust's paths and nothing else of the language.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Arrow, Place, ROOT};
use crate::tidy::File;

/// Tests may look up: they see a crate as its users do.
pub fn is_test(path: &Path) -> bool {
    let named = |name: &str| ["tests", "simulation", "fixture", "fixtures"].contains(&name.trim_end_matches(".rs"));
    path.iter().any(|part| part.to_str().is_some_and(named))
}

/// The modules at the top of a crate, and its arrows.
pub fn of(source: &str, files: &[&File]) -> (BTreeSet<String>, BTreeMap<Arrow, Place>) {
    let roots = files.iter().filter(|file| module(source, &file.path) == ROOT);
    let tests: BTreeSet<String> = roots.flat_map(|file| for_tests(&file.text)).collect();
    let files: Vec<&&File> = files.iter().filter(|file| !tests.contains(&module(source, &file.path))).collect();
    let modules: BTreeSet<String> = files.iter().map(|file| module(source, &file.path)).collect();
    let exported = files.iter().filter(|file| module(source, &file.path) == ROOT).flat_map(|file| exports(&file.text));
    let exported: BTreeMap<String, String> = exported.filter(|(_, module)| modules.contains(module)).collect();
    let mut arrows = BTreeMap::new();
    for file in &files {
        let from = module(source, &file.path);
        let code = code(&file.text);
        let mut heads = heads(&code, depth(source, &file.path));
        if from == ROOT {
            heads.extend(used(&code).into_iter().filter(|(name, _)| modules.contains(name)));
        }
        for (name, line) in heads {
            let to = if modules.contains(&name) { &name } else { exported.get(&name).map_or(ROOT, String::as_str) };
            if to != from {
                let arrow = Arrow { from: from.clone(), to: to.to_owned() };
                arrows.entry(arrow).or_insert_with(|| Place { file: file.path.clone(), line });
            }
        }
    }
    (modules, arrows)
}

/// Which modules name which of these crates, and where first.
pub fn foreign(source: &str, files: &[&File], crates: &[&String]) -> BTreeMap<Arrow, Place> {
    let mut arrows = BTreeMap::new();
    for file in files {
        let code = code(&file.text);
        for name in crates {
            let Some(line) = named(&code, name) else { continue };
            let arrow = Arrow { from: module(source, &file.path), to: (*name).clone() };
            arrows.entry(arrow).or_insert_with(|| Place { file: file.path.clone(), line });
        }
    }
    arrows
}

/// The first line on which a crate is named.
fn named(code: &str, name: &str) -> Option<usize> {
    let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let found = code.match_indices(name).find(|(at, _)| {
        let (before, after) = (&code[..*at], &code[at + name.len()..]);
        !before.ends_with(is_of_name) && !after.starts_with(is_of_name)
    });
    found.map(|(at, _)| 1 + code[..at].matches('\n').count())
}

/// The modules that a root has for tests alone.
fn for_tests(root: &str) -> Vec<String> {
    let parts = root.split("#[cfg(test)]\n").skip(1);
    parts.filter_map(|rest| word(rest.trim_start_matches("pub(crate) ").strip_prefix("mod ")?)).collect()
}

/// The module that a file belongs to: `gate` of `gate.rs` and of `gate/people.rs`.
fn module(source: &str, path: &Path) -> String {
    let inside = path.strip_prefix(source).unwrap_or(path);
    let first = inside.iter().next().and_then(|part| part.to_str()).unwrap_or_default().trim_end_matches(".rs");
    if first == "main" { ROOT.to_owned() } else { first.to_owned() }
}

/// How many `super` lead from the file's own module to the root of its crate.
fn depth(source: &str, path: &Path) -> usize {
    let inside = path.strip_prefix(source).unwrap_or(path);
    let parts = inside.iter().count();
    let is_root = parts == 1 && ["lib.rs", "main.rs"].iter().any(|root| inside == Path::new(root));
    let is_parent = inside.file_name().is_some_and(|name| name == "mod.rs");
    parts - usize::from(is_root || is_parent)
}

/// The text without comments and without its tests, line for line.
fn code(text: &str) -> String {
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..tests].lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The first name of every path that begins at the crate's root, and its line.
fn heads(code: &str, depth: usize) -> Vec<(String, usize)> {
    let up = "super::".repeat(depth);
    let mut starts = vec!["crate::".to_owned()];
    starts.extend((depth > 0).then_some(up));
    let mut found = Vec::new();
    for start in starts {
        for (at, _) in code.match_indices(&start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
                continue;
            }
            let line = 1 + code[..at].matches('\n').count();
            found.extend(names(&code[at + start.len()..]).into_iter().map(|name| (name, line)));
        }
    }
    found
}

/// The names that stand first in what follows: one, or those of a group.
fn names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else { return word(rest).into_iter().collect() };
    let (mut names, mut nested, mut item) = (Vec::new(), 0_usize, String::new());
    for letter in group.chars() {
        match letter {
            '{' => nested += 1,
            '}' if nested == 0 => break,
            '}' => nested -= 1,
            ',' if nested == 0 => names.extend(word(std::mem::take(&mut item).trim())),
            _ if nested == 0 => item.push(letter),
            _ => {}
        }
    }
    names.extend(word(item.trim()));
    names
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// The modules that a root itself uses. What it only passes on under its own name, it does not.
fn used(code: &str) -> Vec<(String, usize)> {
    let lines = (1..).zip(code.lines());
    let paths = lines.filter_map(|(number, line)| Some((line.strip_prefix("use ")?, number)));
    let paths = paths.map(|(path, number)| (path.strip_prefix("self::").unwrap_or(path), number));
    paths.filter_map(|(path, number)| Some((word(path)?, number))).collect()
}

/// What a root gives under its own name: each name, and the module that it comes from.
fn exports(text: &str) -> Vec<(String, String)> {
    let code = code(text);
    let uses = code.split(';').filter_map(|statement| statement.split_once("use ").map(|(_, path)| path.trim()));
    let parts = uses.filter_map(|path| {
        let path = path.strip_prefix("self::").or(path.strip_prefix("crate::")).unwrap_or(path);
        let (module, rest) = path.split_once("::")?;
        Some((module.to_owned(), rest.to_owned()))
    });
    let names_of = |(module, rest): (String, String)| {
        let last = rest.rsplit("::").next().unwrap_or_default().to_owned();
        let rest = if rest.starts_with('{') { rest } else { last };
        names(&rest).into_iter().map(move |name| (name, module.clone()))
    };
    parts.flat_map(names_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads_of(code: &str, depth: usize) -> Vec<String> {
        heads(code, depth).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_path_from_the_root_is_seen_wherever_it_stands() {
        assert_eq!(heads_of("use crate::gate::Gate;\nfn f() -> crate::run::Run", 1), ["gate", "run"]);
        assert_eq!(heads_of("use crate::{gate::{Gate, Turn}, run, Root};", 2), ["gate", "run", "Root"]);
        assert_eq!(heads_of("use super::super::gate::Gate;", 2), ["gate"]);
        assert_eq!(heads_of("use super::near::Thing;", 2), Vec::<String>::new());
        assert_eq!(heads_of("use agentry_crate::thing;", 1), Vec::<String>::new());
    }

    #[test]
    fn a_crate_is_named_as_a_whole_word_outside_of_comments() {
        let code = code("// wasmtime\nuse wasmtime_wasi::p2;\nfn f() -> wasmtime::Result<()>");
        assert_eq!(
            (named(&code, "wasmtime"), named(&code, "wasmtime_wasi"), named(&code, "tokio")),
            (Some(3), Some(2), None)
        );
    }

    #[test]
    fn comments_and_tests_import_nothing() {
        let text = "// crate::a::b\nuse crate::c::d;\n#[cfg(test)]\nmod tests {\n use crate::e;\n}";
        assert_eq!(heads_of(&code(text), 1), ["c"]);
    }

    #[test]
    fn a_name_of_the_root_leads_to_where_it_comes_from() {
        let exported = exports("pub use self::redb::RedbStore;\npub use rows::{Row, Table};");
        let pair = |name: &str, module: &str| (name.to_owned(), module.to_owned());
        assert_eq!(exported, [pair("RedbStore", "redb"), pair("Row", "rows"), pair("Table", "rows")]);
    }
}
