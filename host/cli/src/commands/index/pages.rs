//! Pages of an index as HTML that needs no script: readable at any width, by any reader. Text of a package is made harmless as for a
//! screen and then escaped; nothing of it is a link, a tag or an address.

use std::fmt::Write as _;

use agentry_kernel::manifest::Manifest;
use agentry_packages::holders::Holders;
use agentry_packages::index::listed::Listed;

use super::versions::Differences;
use crate::commands::packages::{does, drafted_costs};
use crate::screen::{text, units};

/// A package, as its newest version is.
pub struct Shown {
    /// Its newest version.
    pub listed: Listed,
    /// All that are listed, the newest first.
    pub versions: Vec<Listed>,
    /// What each of them is beside the one before it.
    pub beside: Vec<Beside>,
    /// What stands in its file.
    pub manifest: Manifest,
}

/// A version beside the one before it.
pub enum Beside {
    /// None is listed before it.
    First,
    /// What is other, whether or not it is anything.
    Compared {
        /// The version before.
        from: String,
        /// What is other than there.
        differences: Differences,
    },
    /// One of both files is older than what is looked at, or nobody vouches for it as it is today.
    Unknown {
        /// The version before.
        from: String,
    },
}

/// The longest text of a package on a page.
pub const TEXT_MAX_CHARS: usize = 400;

/// Colours that anybody can tell apart, in the light and in the dark, and lines that fit any screen: a word without an end is broken.
const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8886}body{font:1.0625rem/1.55 system-ui,sans-serif;max-width:46rem;margin:0 auto;padding:1rem;\
overflow-wrap:anywhere}h1{font-size:1.75rem;line-height:1.25}h2{font-size:1.25rem;margin:2rem 0 .5rem}\
code,pre{font-family:ui-monospace,monospace;font-size:.85em}pre{padding:.75rem;border:1px solid var(--line);border-radius:.4rem;\
white-space:pre-wrap}ul{padding-left:1.25rem}li{margin:.35rem 0}ul.packages{list-style:none;padding:0}\
ul.packages li{border-top:1px solid var(--line);padding:.6rem 0;margin:0}.said{font-style:italic;margin:.15rem 0 0}\
h3{font-size:1.05rem;margin:1.25rem 0 .25rem}section{border-top:1px solid var(--line)}section p{margin:.35rem 0}\
label{display:block;font-weight:600}input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.25rem 0}\
nav.lists a,nav.parts a{display:inline-block;padding:.25rem .75rem .25rem 0}";

/// The page of one package.
pub fn package(one: &Shown) -> String {
    let Shown { listed, manifest, .. } = one;
    let listing = &listed.listing;
    let name = escaped(&listing.name);
    let mut body = format!(
        "<nav aria-label=\"Pages\"><a href=\"../../\">All packages</a></nav>\n\
         <h1>{name}</h1>\n<p>Version {}, {}, signed by {} with {}.</p>\n{}",
        escaped(&listing.version),
        escaped(&units::bytes(listed.bytes)),
        escaped(&listed.publisher),
        holders(&listed.holders),
        said(&manifest.description)
    );
    if let Some(licence) = &manifest.licence {
        let licence = escaped(&text::cut(licence, TEXT_MAX_CHARS));
        let _ = writeln!(body, "<p>It says that its licence is {licence}.</p>");
    }
    body.push_str("<h2>What it may do</h2>\n<ul>\n");
    for line in does(&manifest.wants) {
        let optional = if line.optional { " (works without)" } else { "" };
        let _ = writeln!(body, "<li>{}{optional}{}</li>", escaped(&line.what), said(&line.why));
    }
    if !manifest.requires.is_empty() {
        body.push_str("</ul>\n<h2>What it requires</h2>\n<ul>\n");
    }
    for requires in &manifest.requires {
        let what = requires.requirement().map(|what| what.to_string()).unwrap_or_default();
        let _ = writeln!(body, "<li>{}{}</li>", escaped(&what), said(&requires.why));
    }
    let _ = write!(
        body,
        "</ul>\n<h2>What it may cost</h2>\n<p>{}</p>\n<h2>How to install it</h2>\n<pre>agentry install {name}</pre>\n\
         <h2>Versions</h2>\n",
        escaped(&drafted_costs(manifest))
    );
    for (listed, beside) in one.versions.iter().zip(&one.beside) {
        version(&mut body, listed, beside);
    }
    whole(&format!("{} – Packages", listing.name), &body, false)
}

/// One version: what it asks for, and what of that is other than before.
fn version(body: &mut String, listed: &Listed, beside: &Beside) {
    let listing = &listed.listing;
    let _ = writeln!(body, "<section>\n<h3>{}</h3>", escaped(&listing.version));
    if let Some(because) = &listing.yanked {
        let _ = writeln!(body, "<p>Taken back: {}</p>", escaped(&text::cut(because, TEXT_MAX_CHARS)));
    }
    match beside {
        Beside::First => {
            let wants = if listing.wants.is_empty() { "nothing".to_owned() } else { listing.wants.join(", ") };
            let _ = writeln!(body, "<p>The first that is listed. It asks for: {}.</p>", escaped(&wants));
        }
        Beside::Unknown { from } => {
            let _ = writeln!(body, "<p>Not held against {}.</p>", escaped(from));
        }
        Beside::Compared { from, differences } if differences.is_none() => {
            let _ = writeln!(body, "<p>Asks for the same as {}.</p>", escaped(from));
        }
        Beside::Compared { from, differences } => {
            let from = escaped(from);
            items(body, &format!("It may, and {from} could not:"), &differences.gained);
            items(body, &format!("It may no longer, and {from} could:"), &differences.lost);
            if let Some(costs) = &differences.costs {
                let _ = writeln!(body, "<p>What it may cost is now: {}.</p>", escaped(costs));
            }
        }
    }
    let _ = writeln!(body, "<p><code>{}</code></p>\n</section>", listed.digest);
}

/// Some lines, and what they are.
fn items(body: &mut String, what: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let lines: String = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
    let _ = writeln!(body, "<p>{what}</p>\n<ul>\n{lines}</ul>");
}

/// Whose word it is.
fn holders(holders: &Holders) -> String {
    let keys: Vec<String> = holders.keys().map(|key| format!("<code>{}</code>", escaped(&key.to_string()))).collect();
    match holders.only() {
        Some(_) => keys.concat(),
        None => format!("{} of the {} keys {}", holders.threshold(), keys.len(), keys.join(", ")),
    }
}

/// Where the page of a package lies below the list.
pub fn place(name: &str) -> String {
    name.replace(':', "/")
}

/// Words of a package's author, as such.
pub fn said(words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    format!("<p class=\"said\">It says: {}</p>", escaped(&text::cut(words, TEXT_MAX_CHARS)))
}

/// A text that is a text and nothing else, whoever wrote it.
pub fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for letter in text::line(words).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

/// A whole page. Where `searches`, the one script of ours may run, and load what lies beside it; elsewhere none may.
pub fn whole(title: &str, body: &str, searches: bool) -> String {
    let (policy, script) = if searches {
        (
            "script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; ",
            "<script src=\"search.js\" defer></script>\n",
        )
    } else {
        ("", "")
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; {policy}style-src 'unsafe-inline'; base-uri \
         'none'; form-action 'none'\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
         {script}</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escaped(title)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_package_is_a_tag_an_attribute_or_something_that_hides() {
        let bad = "<script>alert(1)</script>\" onload='x' & \u{202e}\u{1b}[2J";
        let shown = escaped(bad);
        assert_eq!(shown, "&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39; &amp; \\u{202e}\\u{1b}[2J");
        assert!(said(bad).starts_with("<p class=\"said\">It says: &lt;script") && said("").is_empty());
        let page = whole(bad, "", false);
        assert_eq!(page.matches('<').count(), whole("", "", false).matches('<').count());
        assert!(page.contains("default-src 'none'") && !page.contains("<script"));
    }
}
