//! Requests to the web, their secrets and how often: look-alikes, audiences and spans.

use super::*;
use crate::manifest::WantsSecret;

#[test]
fn a_request_goes_where_it_may_and_nowhere_that_looks_like_it() {
    says(
        &fetch("GET", "https://evil.net/"),
        &expect![[r#"
            denied  scribe → http.fetch: agent `scribe` may not reach `evil.net`
              rule  scribe   policies/50-scribe.toml:3
              arg   url = https://evil.net/, allowed *.example.org, example.net
              hint  add an [[http]] with `to = "https://evil.net"` to policies/50-scribe.toml
              ref   0000000000001/7"#]],
    );
    says(
        &fetch("DELETE", "https://api.example.org/"),
        &expect![[r#"
        denied  scribe → http.fetch: agent `scribe` may reach `api.example.org`, but not with this method
          rule  scribe/api   policies/50-scribe.toml:9
          arg   method = DELETE, allowed GET, POST
          hint  widen the rule in policies/50-scribe.toml, or add one for this method
          ref   0000000000001/7"#]],
    );
    says(
        &fetch("GET", "https://api.example.org@evil.net/"),
        &expect![[r#"
        denied  scribe → http.fetch: `url` has a user name
          arg   url = https://api.example.org@evil.net/, allowed an address in its canonical form
          hint  the agent has to write it in another way; nothing that policy says would change this
          ref   0000000000001/7"#]],
    );
    says(
        &fetch("GET", "https://api.example.org/admin/users"),
        &expect![[r#"
        denied  scribe → http.fetch: a site rule forbids it, and no grant can override that: The console is for people.
          rule  site/admin   policies/00-site.toml:46
          hint  if it must be possible, change site/admin in policies/00-site.toml
          ref   0000000000001/7"#]],
    );
    let look_alikes = [
        "https://example.org/",
        "https://api.example.org.evil.net/",
        "https://evilexample.org/",
        "http://api.example.org/",
        "https://api.example.org:8443/",
        "https://API.example.org/",
        "https://api.example.org./",
        "https://xn--pi-7ba.example.org.evil.net/",
        "https://2130706433/",
        "https://127.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://api.example.org/x/../admin",
        "https://api.example.org/%61dmin",
        "https://api.example.org//admin",
        "https://api.example.org/ADMIN",
        "https://api.example.org/x%2f..%2fadmin",
    ];
    for url in look_alikes {
        refusal(&mut site(), &fetch("GET", url));
    }
    let permit = permit(&mut site(), &fetch("POST", "https://api.example.org/v1?q=admin"));
    assert_eq!((permit.held()[Resource::Egress], permit.private()), (100, false));
}

#[test]
fn a_secret_goes_only_to_its_audience() {
    let grant = alloc::format!("secrets = [{{ handle = \"key\", only_to = \"https://api.example.org\" }}]\n{}", GRANT);
    let with = |url: &str, secret: &str| {
        let Call::Fetch(fetch) = fetch("GET", url) else { panic!("it is a request") };
        Call::Fetch(Fetch { secret: Some(secret.into()), ..fetch })
    };
    let mut kernel = kernel_with(SITE, &grant);
    let _granted = permit(&mut kernel, &with("https://api.example.org/", "key"));
    expect![[r#"
        denied  scribe → http.fetch: secret `key` is not for `www.example.org`
          rule  scribe/secrets   policies/50-scribe.toml:1
          arg   secret = key, allowed only to https://api.example.org
          hint  the agent leaves it out here; who may see it stands in `only_to` in policies/50-scribe.toml
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &with("https://www.example.org/", "key")).to_string());
    expect![[r#"
        denied  scribe → http.fetch: agent `scribe` has no secret `other`
          rule  scribe   policies/50-scribe.toml:4
          arg   secret = other, allowed key
          hint  add a [[secrets]] with `handle = "other"` and `only_to = "…"` to policies/50-scribe.toml
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &with("https://api.example.org/", "other")).to_string());
}

#[test]
fn a_package_that_names_its_secrets_gets_no_other_whatever_is_granted() {
    let to = "https://api.example.org";
    let grant = alloc::format!(
        "secrets = [{{ handle = \"key\", only_to = \"{to}\" }}, {{ handle = \"other\", only_to = \"{to}\" }}]\n{GRANT}",
    );
    let mut manifest = Manifest::clone(&manifest());
    let (handle, only_to, why) = ("key".into(), to.into(), "To ask.".into());
    manifest.wants.secrets = alloc::vec![WantsSecret { handle, only_to, why, optional: false }];
    let mut kernel = Kernel::new(policy(&grant), models(), Vec::new());
    kernel.start(RUN, &Start { manifest: Arc::new(manifest), ..start() }, NOW).expect("the grant covers it");
    let with = |secret: &str| {
        let Call::Fetch(fetch) = fetch("GET", "https://api.example.org/") else { panic!("it is a request") };
        Call::Fetch(Fetch { secret: Some(secret.into()), ..fetch })
    };
    let _granted = permit(&mut kernel, &with("key"));
    expect![[r#"
        denied  scribe → http.fetch: the package asks for less than this in `secrets`
          arg   secret = other, allowed key to https://api.example.org
          hint  its author widens `secrets` in `wants` of agent.toml and builds it again
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &with("other")).to_string());
}

#[test]
fn a_rule_with_a_rate_gives_only_so_much_in_any_span() {
    let grant = GRANT.replace("tool = \"mail.*\", ", "tool = \"mail.*\", rate = \"2/h\", ");
    let mut kernel = kernel_with(SITE, &grant);
    let send = tool_call("mail.send", "{}");
    let admit =
        |kernel: &mut Kernel, at: u64| matches!(kernel.admit(RUN, CallId(7), &send, NOW.plus(at)), Answer::Permit(_));
    assert!(admit(&mut kernel, 0) && admit(&mut kernel, 10));
    expect![[r#"
        denied  scribe → tools.call: tool `mail.send` has had its 2/h
          rule  scribe/mail   policies/50-scribe.toml:13
          arg   rate = 2/h, allowed again in 3600 s
          hint  wait 3600 s, or raise `rate` in policies/50-scribe.toml
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &send).to_string());
    refused(&mut kernel, (RUN, 8), &send, NOW.plus(3_599_999));
    assert!(admit(&mut kernel, 3_600_000));
    refused(&mut kernel, (RUN, 8), &send, NOW.plus(3_600_001));
}
