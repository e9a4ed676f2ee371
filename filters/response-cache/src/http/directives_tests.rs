use super::*;
use proptest::prelude::*;

fn response(lines: &[&str]) -> ResponseDirectives {
    let pairs: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    ResponseDirectives::read(&Headers::from_pairs(&pairs), "cache-control").unwrap()
}

fn request(line: &str) -> RequestDirectives {
    let mut directives = RequestDirectives::default();
    directives.add(line.as_bytes());
    directives
}

#[test]
fn the_first_of_repeated_numbers_counts_on_one_line_or_several() {
    assert_eq!(
        response(&["max-age=1, max-age=1800"]).max_age,
        Some(Seconds::Of(1))
    );
    assert_eq!(
        response(&["max-age=1800", "max-age=1"]).max_age,
        Some(Seconds::Of(1800))
    );
}

#[test]
fn numbers_are_digits_in_a_token_or_a_quoted_string_and_nothing_else() {
    for (text, expected) in [
        ("max-age=3600", Seconds::Of(3600)),
        ("MaX-AgE=003600", Seconds::Of(3600)),
        ("max-age=\"3600\"", Seconds::Of(3600)),
        ("max-age=99999999999999999999999", Seconds::Of(MOST_SECONDS)),
        ("max-age='3600'", Seconds::Invalid),
        ("max-age=-3600", Seconds::Invalid),
        ("max-age=3600.0", Seconds::Invalid),
        ("max-age=3600a", Seconds::Invalid),
        ("max-age= 3600", Seconds::Invalid),
        ("max-age =3600", Seconds::Invalid),
        ("max-age=", Seconds::Invalid),
        ("max-age", Seconds::Invalid),
    ] {
        assert_eq!(response(&[text]).max_age, Some(expected), "{text}");
    }
}

#[test]
fn what_is_inside_quotes_is_no_directive() {
    let found = response(&["extension=\"max-age=3600, no-store\", max-age=1"]);
    assert_eq!(
        (found.max_age, found.no_store),
        (Some(Seconds::Of(1)), false)
    );
}

#[test]
fn field_lists_are_read_and_the_stricter_form_wins() {
    assert_eq!(
        response(&["no-cache=\"A, b\""]).no_cache,
        Qualified::Fields(vec!["a".into(), "b".into()])
    );
    assert_eq!(
        response(&["no-cache=\"a\"", "no-cache"]).no_cache,
        Qualified::Whole
    );
    assert_eq!(response(&["private=\"\""]).private, Qualified::Whole);
    assert_eq!(
        response(&["private=a"]).private,
        Qualified::Fields(vec!["a".into()])
    );
    assert!(response(&["No-StOrE"]).no_store);
}

#[test]
fn what_is_not_separated_by_commas_forbids_and_permits_nothing() {
    for line in [
        "private; max-age=60; public",
        "public;max-age=60;private",
        "max-age=60 private",
        "\tmax-age = 60; private=\"x-a\"; immutable",
    ] {
        let found = response(&[line]);
        assert_eq!(found.private, Qualified::Whole, "{line}");
        assert_eq!(found.max_age, Some(Seconds::Invalid), "{line}");
        assert!(!found.public && !found.immutable, "{line}");
    }
    let stale =
        response(&["must-revalidate; s-maxage=9; stale-while-revalidate=9; stale-if-error=9"]);
    assert!(stale.proxy_revalidate && !stale.must_revalidate);
    assert_eq!(stale.s_maxage, Some(Seconds::Invalid));
    assert_eq!(
        (stale.stale_while_revalidate, stale.stale_if_error),
        (Some(0), Some(0))
    );
    let quoted = response(&["ext=\"no-store; private\", no-cache=\"a; b\", max-age=5"]);
    assert!(!quoted.no_store && quoted.private == Qualified::Absent);
    assert_eq!(quoted.max_age, Some(Seconds::Of(5)));
    let escaped = response(&["ext=\"a\\\"; no-store; private\", max-age=5"]);
    assert!(!escaped.no_store && escaped.private == Qualified::Absent);
    let wishes = request("max-age=5; max-stale; only-if-cached; no-store");
    assert!(wishes.no_store && !wishes.only_if_cached);
    assert_eq!((wishes.max_age, wishes.max_stale), (None, None));
}

#[test]
fn an_open_quote_makes_the_field_malformed() {
    assert!(response(&["ext=\"abc, max-age=10"]).malformed);
    assert!(!response(&["ext=\"a\\\"bc\", max-age=10"]).malformed);
    assert!(request("ext=\"").no_cache);
}

#[test]
fn request_directives() {
    let found = request("max-age=5, min-fresh=x, max-stale, only-if-cached, no-store");
    assert_eq!(found.max_age, Some(5));
    assert_eq!(found.min_fresh, None);
    assert_eq!(found.max_stale, Some(MOST_SECONDS));
    assert!(found.only_if_cached && found.no_store && !found.no_cache);
    assert_eq!(request("max-stale=10").max_stale, Some(10));
}

#[test]
fn lists_leave_empty_members_out() {
    let headers = Headers::from_pairs(&[("vary", ", a,,b ,"), ("vary", "\"x,y\"")]);
    let members: Vec<_> = list(&headers, "vary").collect();
    assert_eq!(members, [&b"a"[..], b"b", b"\"x,y\""]);
}

proptest! {
    #[test]
    fn numbers_are_those_of_the_standard_library(text in "[0-9]{0,30}|21474836[0-9]{0,3}|[-+0-9a ]{0,4}") {
        let number = text.parse::<u128>().ok().filter(|_| !text.starts_with('+'));
        let expected = number.map(|number| number.min(u128::from(MOST_SECONDS)) as u64);
        prop_assert_eq!(seconds(text.as_bytes()), expected);
    }

    #[test]
    fn any_bytes_are_read(line in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut directives = RequestDirectives::default();
        directives.add(&line);
        let headers = Headers::from_pairs(&[("cache-control", &line)]);
        let _ = ResponseDirectives::read(&headers, "cache-control");
        prop_assert!(list(&headers, "cache-control").all(|item| !item.is_empty()));
    }

    #[test]
    fn no_store_is_found_wherever_it_stands(before in "[a-z=0-9, ]{0,20}", after in "[a-z=0-9, ]{0,20}") {
        let line = format!("{before},no-store,{after}");
        prop_assert!(response(&[&line]).no_store);
    }
}
