//! An address has one spelling; all that could be read as another host or another path is refused.

use alloc::format;
use alloc::string::String;

use proptest::prelude::*;

use super::*;

#[test]
fn an_address_in_its_one_spelling_is_read() {
    let url = Url::parse("https://api.example.org:8443/v1/a%20b?x=%2F..").expect("it is canonical");
    assert_eq!((url.scheme, url.host, url.port), (Scheme::Https, Host::Name("api.example.org"), 8443));
    assert_eq!((url.path, url.query), ("/v1/a%20b", Some("x=%2F..")));
    assert_eq!(Url::parse("http://127.0.0.1/").map(|url| (url.host, url.port)), {
        Ok((Host::V4(Ipv4Addr::LOCALHOST), 80))
    });
    assert_eq!(Url::parse("http://[::1]:8080/").map(|url| url.host), Ok(Host::V6(Ipv6Addr::LOCALHOST)));
    assert!(Url::parse("https://xn--bcher-kva.example/").is_ok());
}

#[test]
fn a_host_that_looks_like_another_is_no_address() {
    let hosts = [
        "EXAMPLE.org",
        "example.org.",
        "user@example.org",
        "example.org@evil.net",
        "a:b@example.org",
        "example.org:443",
        "example.org:0443",
        "example.org:",
        "example.org:0",
        "example.org:65536",
        "example.org:+1",
        "exämple.org",
        "еxample.org",
        "example。org",
        "example..org",
        ".example.org",
        "",
        "exa mple.org",
        "example.org%2eevil.net",
        "example.org\\.evil.net",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "127.0.0.01",
        "0177.0.0.1",
        "127.0.0.1.",
        "1.2.3.4.5",
        "999.1.1.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
        "[::1",
        "[::1]x",
        "[fe80::1%25eth0]",
        "[FE80::1]",
        "::1",
        "example.org,evil.net",
        "*.example.org",
        "a.0x1",
    ];
    for host in hosts {
        assert!(Url::parse(&format!("https://{host}/")).is_err(), "{host}");
    }
}

#[test]
fn a_path_that_could_be_read_as_another_is_no_address() {
    let paths = [
        "",
        "/..",
        "/a/../b",
        "/./a",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/%00",
        "/a%0d%0ab",
        "/%252e%252e/",
        "/a%",
        "/a%g0",
        "/a/..;/b",
        "/a/.;x/b",
        "/a#b",
        "/a b",
        "/ä",
    ];
    for path in paths {
        assert!(Url::parse(&format!("https://example.org{path}")).is_err(), "{path}");
    }
    for text in
        ["ftp://example.org/", "//example.org/", "https:/example.org/", "HTTPS://example.org/", "example.org", ""]
    {
        assert!(Url::parse(text).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), ascii in "[ -~]{0,24}") {
        for text in [text.as_str(), ascii.as_str()] {
            let _ = Url::parse(text);
            let _ = Url::parse(&format!("https://{text}"));
            let _ = Url::parse(&format!("https://[{text}]:{text}/{text}%{text}"));
        }
    }

    #[test]
    fn whatever_is_read_prints_as_it_was_written(host in "[a-z]{1,8}\\.[a-z]{2,4}", port in 1u16.., path in "(/[a-z0-9.~-]{1,6}){1,4}") {
        let written = if port == 443 { String::new() } else { format!(":{port}") };
        let text = format!("https://{host}{written}{path}");
        if let Ok(url) = Url::parse(&text) {
            prop_assert_eq!(url.host, Host::Name(host.as_str()));
            prop_assert_eq!(url.port, port);
            prop_assert_eq!(url.path, path.as_str());
        } else {
            prop_assert!(path.split('/').any(|part| part == "." || part == ".."));
        }
    }
}
