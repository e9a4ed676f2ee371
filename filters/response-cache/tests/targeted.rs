//! Target fields (RFC 9213): what each directive becomes there, and what of RFC 9651 makes a field valid or not.
#![cfg(not(target_arch = "wasm32"))]

use seawall_core::headers::Headers;
use seawall_response_cache::http::directives::{Qualified, ResponseDirectives, Seconds};
use seawall_response_cache::http::target::read;

fn cdn(line: &str) -> Option<ResponseDirectives> {
    let headers = Headers::from_pairs(&[("cdn-cache-control", line)]);
    read(&headers, &["cdn-cache-control".to_owned()])
}

#[test]
fn every_directive_means_there_what_it_means_in_cache_control() {
    let none = ResponseDirectives::default;
    let named = |names: &[&str]| Qualified::Fields(names.iter().map(ToString::to_string).collect());
    #[rustfmt::skip]
    let rows = [
        ("max-age=7", ResponseDirectives { max_age: Some(Seconds::Of(7)), ..none() }),
        ("s-maxage=7", ResponseDirectives { s_maxage: Some(Seconds::Of(7)), ..none() }),
        ("stale-while-revalidate=7", ResponseDirectives { stale_while_revalidate: Some(7), ..none() }),
        ("stale-if-error=7", ResponseDirectives { stale_if_error: Some(7), ..none() }),
        ("no-store", ResponseDirectives { no_store: true, ..none() }),
        ("public", ResponseDirectives { public: true, ..none() }),
        ("must-revalidate", ResponseDirectives { must_revalidate: true, ..none() }),
        ("proxy-revalidate", ResponseDirectives { proxy_revalidate: true, ..none() }),
        ("must-understand", ResponseDirectives { must_understand: true, ..none() }),
        ("immutable", ResponseDirectives { immutable: true, ..none() }),
        ("no-cache", ResponseDirectives { no_cache: Qualified::Whole, ..none() }),
        ("no-cache=\"a, b\"", ResponseDirectives { no_cache: named(&["a", "b"]), ..none() }),
        ("private", ResponseDirectives { private: Qualified::Whole, ..none() }),
        ("private=\"a\"", ResponseDirectives { private: named(&["a"]), ..none() }),
        // Of another type than the directive has: ignored, and the field is valid all the same.
        ("max-age=\"7\"", none()),
        ("max-age=7.5", none()),
        ("max-age", none()),
        ("s-maxage=seven", none()),
        ("no-store=1", none()),
        ("public=\"x\"", none()),
        ("immutable=?0", none()),
        ("private=?0", none()),
        ("no-cache=7", none()),
        ("unknown=7", none()),
    ];
    for (line, expected) in rows {
        assert_eq!(cdn(line), Some(expected), "{line}");
    }
}

/// Each stands for the value of a member before one that is known.
#[test]
fn a_value_that_is_no_value_makes_the_whole_field_invalid() {
    for (value, valid) in [
        ("?1", true),
        ("?2", false),
        ("0", true),
        ("-7", true),
        ("-", false),
        ("+7", false),
        ("123456789012345", true),
        ("1234567890123456", false),
        ("1.5", true),
        ("1.", false),
        (".5", false),
        ("1.1234", false),
        ("123456789012.1", true),
        ("1234567890123.1", false),
        ("token", true),
        ("*a:/b", true),
        ("~a", false),
        (":YWI=:", true),
        (":YWI:", true),
        (":YWJj:", true),
        (":YWJj=:", false),
        (":YQ==:", true),
        (":Y:", false),
        (":YW-I:", false),
        (":YWI=", false),
        ("@1659578233", true),
        ("@-1", true),
        ("@1.5", false),
        ("%\"f%c3%bc%2f~\"", true),
        ("%\"%fg\"", false),
        ("%f", false),
        ("\"a\\\"b\\\\c\"", true),
        ("\"a\\b\"", false),
        ("\"a\tb\"", false),
        ("()", true),
        ("( 1  \"b\";x )", true),
        ("(1\t2)", false),
        ("1;a;b=2;  c=?0", true),
        ("1 ;a", false),
        ("1;A", false),
    ] {
        for line in [
            format!("x={value}, max-age=7"),
            format!("x={value}\t,\t max-age=7 "),
            format!("x;y={value}, max-age=7"),
        ] {
            // A parameter is a bare item.
            let list = value.starts_with('(') && line.starts_with("x;");
            let found = cdn(&line).map(|found| found.max_age);
            let expected = (valid && !list).then_some(Some(Seconds::Of(7)));
            assert_eq!(found, expected, "{line}");
        }
    }
    for (key, valid) in [
        ("a", true),
        ("*", true),
        ("a1_-.*", true),
        ("1", false),
        ("_a", false),
        ("aB", false),
    ] {
        assert_eq!(cdn(&format!("{key}, max-age=7")).is_some(), valid, "{key}");
    }
}
