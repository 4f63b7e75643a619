//! What is warned of when files are read together: grants above the ceiling, and rules that say nothing.

use super::*;

const SITE: &str = r#"format = 1
layer = "site"
[ceiling]
models = ["small-*"]
tools = ["mail.*"]
egress = ["https://*.example.org"]
budget = { usd_day = "4.00", tokens_day = 500_000 }
[[forbid]]
id = "site/purge"
tool = "mail.purge"
why = "Nobody."
"#;

fn warnings(site: &str, grant: &str) -> Vec<String> {
    let sources = [Source { file: "00-site.toml", text: site }, Source { file: "50-grant.toml", text: grant }];
    let policy = Policy::parse(&sources, Digest::default()).expect("both are well formed");
    let told = |warning: &Mistake| format!("{}:{} {}", warning.file, warning.line, warning.message);
    policy.warnings().iter().map(told).collect()
}

#[test]
fn what_lies_within_the_ceiling_is_not_warned_of() {
    assert_eq!(warnings(SITE, GRANT), [""; 0]);
}

#[test]
fn a_grant_above_the_ceiling_is_told_with_its_place_and_that_of_the_ceiling() {
    let wide = GRANT
        .replace("models = [\"small-*\"]", "models = [\"small-1\", \"large-1\"]")
        .replace("usd_day = \"2.00\"", "usd_day = \"40.00\"")
        .replace("tool = \"mail.send\"", "tool = \"m*\"");
    let wide = format!(
        "{wide}[[http]]\nid = \"reporter/out\"\nto = \"http://api.example.org\"\npaths = [\"/**\"]\nwhy = \"It talks.\"\n"
    );
    expect![[r#"
        50-grant.toml:9 the grant of model `large-1` goes above the ceiling: ["small-*"] (00-site.toml:3)
        50-grant.toml:21 the grant of tool `m*` goes above the ceiling: ["mail.*"] (00-site.toml:3)
        50-grant.toml:25 the grant of address `http://api.example.org` goes above the ceiling: ["https://*.example.org"] (00-site.toml:3)
        50-grant.toml:14 `usd_day` goes above the ceiling: the site has less (00-site.toml:7)"#]]
    .assert_eq(&warnings(SITE, &wide).join("\n"));
}

#[test]
fn a_ceiling_that_only_observes_is_not_warned_of() {
    let observing = SITE.replace("layer = \"site\"", "layer = \"site\"\nmode = \"observe\"").replace("budget =", "# ");
    assert_eq!(warnings(&observing, &GRANT.replace("small-*", "large-1")), [""; 0]);
}

#[test]
fn a_rule_that_the_site_forbids_whole_is_told() {
    let dead = GRANT.replace("tool = \"mail.send\"", "tool = \"mail.purge\"");
    expect!["50-grant.toml:21 rule `reporter/mail` gives nothing: site/purge forbids it (00-site.toml:8)"]
        .assert_eq(&warnings(SITE, &dead).join("\n"));
    let bound = SITE.replace("tool = \"mail.purge\"", "tool = \"mail.purge\"\nunless = { id = { in = [\"1\"] } }");
    assert_eq!(warnings(&bound, &dead), [""; 0]);
    let another = SITE.replace("tool = \"mail.purge\"", "tool = \"mail.purge\"\nagent = \"reporter\"");
    assert_eq!(warnings(&another, &dead).len(), 1);
    for target in ["memory = \"agent/**\"", "root = \"reports\"", "model = \"small*\""] {
        let site = SITE.replace("tool = \"mail.purge\"", target);
        assert_eq!(warnings(&site, GRANT).len(), 1, "{target}: {:?}", warnings(&site, GRANT));
    }
}

#[test]
fn a_rule_for_nobody_and_one_beside_a_wider_one_are_told() {
    let more = "[[forbid]]\nid = \"site/all\"\ntool = \"mail.p*\"\nwhy = \"No.\"\n\
                [[forbid]]\nid = \"site/typo\"\nmemory = \"x\"\nagent = \"repotrer\"\nwhy = \"No.\"\n";
    expect![[r"
        00-site.toml:8 site/purge changes nothing beside site/all (00-site.toml:12)
        00-site.toml:16 site/typo never applies: agent `repotrer` has no grant"]]
    .assert_eq(&warnings(&format!("{SITE}{more}"), GRANT).join("\n"));
}

#[test]
fn a_rule_that_another_one_of_its_grant_gives_whole_is_told() {
    let two = |args: &str, more: &str| {
        format!(
            "{GRANT}{args}\n[[allow]]\nid = \"reporter/any\"\ntool = \"mail.*\"\nargs = \"any\"\nwhy = \"x\"\n{more}\n"
        )
    };
    let one = "args.to = { in = [\"a@b.org\"] }";
    expect!["50-grant.toml:21 rule `reporter/mail` changes nothing beside `reporter/any`"]
        .assert_eq(&warnings(SITE, &two(one, "")).join("\n"));
    assert_eq!(warnings(SITE, &two(one, "rate = \"2/h\"")), [""; 0]);
    assert_eq!(warnings(SITE, &two(one, "labels = [\"untrusted\"]")), [""; 0]);
}

#[test]
fn what_only_observes_and_what_never_matches_is_told_beside_a_home() {
    let told = |texts: &[&str], packages: &[&str]| {
        let sources: Vec<_> = texts.iter().map(|text| Source { file: "p.toml", text }).collect();
        let policy = Policy::parse(&sources, Digest::default()).expect("it is a policy");
        let packages = packages.iter().map(ToString::to_string).collect();
        let beside = Beside { agents: alloc::vec!["x".into()], packages, ..Beside::default() };
        policy
            .warnings_beside(&sources, &beside)
            .into_iter()
            .map(|warning| warning.message + " | " + &warning.hint)
            .collect::<Vec<_>>()
    };
    let grant = |rest: &str| format!("format = 1\nlayer = \"grant\"\nagent = \"x\"\nwhy = \"x\"\n{rest}");
    let named = grant("package = \"a:x@^1.2\"\n");
    assert_eq!(told(&[&named], &["a:x@1.4.0"]), [""; 0]);
    assert_eq!(told(&[&named], &[]), [""; 0], "nobody knows which versions there are");
    assert_eq!(told(&[&named], &["a:x@2.0.0", "a:x@1.2.0"]), [""; 0], "one of them is meant");
    let never = "never matches what is here, `a:x@2.0.0`: `x` is granted nothing | write package = \"a:x@^2.0.0\"";
    assert_eq!(told(&[&named], &["a:x@2.0.0", "a:x@1.1.0"]), [never]);
    assert_eq!(told(&[&named], &["b:x@1.4.0"]).len(), 1, "another publisher");
    let alone = told(&[&grant("mode = \"observe\"\n")], &[]);
    assert!(alone.len() == 1 && alone[0].starts_with("only observes, and no grant of `x` is in force"), "{alone:?}");
    let beside = grant("");
    assert_eq!(told(&[&beside, &grant("mode = \"observe\"\n")], &[]), [""; 0]);
    let limits = told(&[&beside, &grant("mode = \"observe\"\n[budget]\ntokens_day = 5\n")], &[]);
    assert!(limits.len() == 1 && limits[0].starts_with("limits nothing: a budget cannot be observed"), "{limits:?}");
    let site = "format = 1\nlayer = \"site\"\nmode = \"observe\"\n[[label]]\nid = \"site/a\"\nmemory = \"agent/x\"\nadds = [\"untrusted\"]\nwhy = \"x\"\n";
    let marks = told(&[&beside, site], &[]);
    assert!(marks.iter().any(|told| told.starts_with("site/a does nothing: a mark cannot be observed")), "{marks:?}");
}

#[test]
fn a_test_that_asks_for_an_agent_without_a_grant_is_told() {
    let test = |agent: &str| {
        format!("{SITE}[[test]]\nexpect = \"deny\"\nagent = \"{agent}\"\ncall = {{ tool = \"mail.purge\" }}\n")
    };
    assert_eq!(warnings(&test("reporter"), GRANT), [""; 0]);
    expect!["00-site.toml:12 the test tells nothing: agent `reportr` has no grant"]
        .assert_eq(&warnings(&test("reportr"), GRANT).join("\n"));
}

#[test]
fn each_place_that_changes_nothing_is_told_in_its_line() {
    let narrow = |at: &str| format!("[[files]]\nroot = \"out\"\nat = \"{at}\"\naccess = \"r\"\nwhy = \"It reads.\"\n");
    let grant = format!("{}{}{}", GRANT.replace("files = ", "# "), narrow("/"), narrow("/a"));
    let warnings = warnings(SITE, &format!("{grant}{}", narrow("/b")));
    let lines: Vec<&str> = warnings.iter().filter_map(|told| told.split(' ').next()).collect();
    assert_eq!(lines, ["50-grant.toml:30", "50-grant.toml:35"], "{warnings:?}");
}
