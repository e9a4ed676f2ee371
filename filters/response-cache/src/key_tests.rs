use super::*;
use proptest::prelude::*;

fn request(pairs: &[(&str, &str)]) -> Request {
    let mut all = vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "example.com"),
    ];
    all.retain(|(name, _)| !pairs.iter().any(|(given, _)| given == name));
    all.extend_from_slice(pairs);
    Request::read(Headers::from_pairs(&all))
}

fn of(recipe: &Recipe, pairs: &[(&str, &str)]) -> Vec<u8> {
    recipe.key(&request(pairs)).unwrap()
}

fn path(recipe: &Recipe, path: &str) -> Vec<u8> {
    of(recipe, &[(":path", path)])
}

fn with(query: Query) -> Recipe {
    Recipe {
        query,
        ..Recipe::default()
    }
}

#[test]
fn by_default_scheme_host_path_and_query_tell_apart() {
    let recipe = Recipe::default();
    let base = path(&recipe, "/a?x=1");
    for other in [
        "/a?x=2", "/a", "/a?", "/A?x=1", "/a/?x=1", "/%61?x=1", "/a?x=1&", "/a%3Fx=1", "//a?x=1",
        "/./a?x=1",
    ] {
        assert_ne!(base, path(&recipe, other), "{other}");
    }
    assert_ne!(
        base,
        of(&recipe, &[(":path", "/a?x=1"), (":scheme", "http")])
    );
}

#[test]
fn a_host_in_another_case_has_a_key_of_its_own_and_the_url_of_all() {
    let recipe = Recipe::default();
    let asks = |host: &str| request(&[(":path", "/a"), (":authority", host)]);
    let (odd, plain) = (asks("EXAMPLE.com"), asks("example.com"));
    assert_ne!(recipe.key(&odd), recipe.key(&plain));
    assert_eq!(recipe.key_of_url(&odd), recipe.key(&plain));
    assert_eq!(recipe.url(&odd), recipe.url(&plain));
}

#[test]
fn a_host_cannot_pose_as_part_of_a_path() {
    let recipe = Recipe::default();
    assert_ne!(
        of(&recipe, &[(":authority", "example.com/a"), (":path", "/b")]),
        of(&recipe, &[(":authority", "example.com"), (":path", "/a/b")])
    );
}

#[test]
fn queries_by_choice() {
    let sorted = with(Query::Sorted);
    assert_eq!(path(&sorted, "/?b=2&a=1"), path(&sorted, "/?a=1&b=2"));
    assert_ne!(
        path(&sorted, "/?a=1&a=2"),
        path(&sorted, "/?a=2&a=1"),
        "the order of one name has a meaning"
    );
    let none = with(Query::None);
    assert_eq!(path(&none, "/?b=2"), path(&none, "/"));
    let include = with(Query::Include(vec![Pattern::new("id")]));
    assert_eq!(
        path(&include, "/?id=1&utm_x=2"),
        path(&include, "/?utm_y=3&id=1")
    );
    assert_ne!(path(&include, "/?id=1"), path(&include, "/?id=2"));
    let exclude = with(Query::Exclude(vec![
        Pattern::new("utm_*"),
        Pattern::new("fbclid"),
    ]));
    assert_eq!(
        path(&exclude, "/?id=1&utm_source=x&fbclid=1"),
        path(&exclude, "/?id=1")
    );
    assert_ne!(path(&exclude, "/?id=1&fbclid2=1"), path(&exclude, "/?id=1"));
}

#[test]
fn parameters_cannot_be_smuggled_past_the_key() {
    let include = with(Query::Include(vec![Pattern::new("id")]));
    let underscored = with(Query::Include(vec![Pattern::new("user_id*")]));
    let exclude = with(Query::Exclude(vec![Pattern::new("utm_*")]));
    for (recipe, poisoned, clean) in [
        (&exclude, "/?utm_x=1;id=5", "/"),
        (&exclude, "/?id=1&utm_x=1;id=5", "/?id=1"),
        (&include, "/?x=1;id=5", "/"),
        (&include, "/?%69d=5", "/"),
        (&include, "/?id[]=5", "/"),
        (&include, "/?i+d=5", "/"),
        (&include, "/?id=1&ID=5", "/?id=1"),
        (&underscored, "/?user_id=1&user.id=5", "/?user_id=1"),
        (&underscored, "/?User.Id_2=5", "/"),
    ] {
        assert_ne!(path(recipe, poisoned), path(recipe, clean), "{poisoned}");
    }
}

#[test]
fn headers_that_frameworks_believe_in_are_in_the_key() {
    let recipe = Recipe::default();
    let clean = path(&recipe, "/");
    for field in UNKEYED_INPUT {
        assert_ne!(
            clean,
            of(&recipe, &[(":path", "/"), (field, "evil.example")]),
            "{field}"
        );
    }
    assert_eq!(clean, of(&recipe, &[(":path", "/"), ("x-request-id", "1")]));
    let forwarded = |value: &str| of(&recipe, &[(":path", "/"), ("forwarded", value)]);
    assert_eq!(clean, forwarded("for=1.2.3.4, For=\"[::1]:80\";by=x"));
    assert_eq!(forwarded("for=a;host=x"), forwarded("host=x;for=b"));
    for hidden in [
        "for=a;host=x",
        "for=a;Proto=https",
        "for=\"a;host=x\"",
        "for=a, host=x",
    ] {
        assert_ne!(clean, forwarded(hidden), "{hidden}");
    }
}

#[test]
fn chosen_headers_and_cookies() {
    let recipe = Recipe {
        headers: vec!["x-tenant".into()],
        cookies: vec!["lang".into()],
        ..Recipe::default()
    };
    let base = of(
        &recipe,
        &[
            (":path", "/"),
            ("x-tenant", "a"),
            ("cookie", "x=1; lang=de"),
        ],
    );
    assert_eq!(
        base,
        of(
            &recipe,
            &[
                (":path", "/"),
                ("x-tenant", "a"),
                ("cookie", "y=2"),
                ("cookie", "lang=de")
            ]
        )
    );
    for other in [
        vec![(":path", "/"), ("x-tenant", "b"), ("cookie", "lang=de")],
        vec![(":path", "/"), ("cookie", "lang=de")],
        vec![(":path", "/"), ("x-tenant", ""), ("cookie", "lang=de")],
        vec![(":path", "/"), ("x-tenant", "a"), ("cookie", "lang=en")],
        vec![(":path", "/"), ("x-tenant", "a"), ("cookie", "xlang=de")],
        vec![
            (":path", "/"),
            ("x-tenant", "a"),
            ("cookie", "lang=de; lang=en"),
        ],
    ] {
        assert_ne!(base, of(&recipe, &other), "{other:?}");
    }
}

#[test]
fn the_method_by_choice() {
    let recipe = Recipe {
        method: true,
        ..Recipe::default()
    };
    let of = |recipe: &Recipe, method: &str| {
        let request = Request::read(Headers::from_pairs(&[(":path", "/"), (":method", method)]));
        recipe.key(&request)
    };
    assert_ne!(of(&recipe, "GET"), of(&recipe, "HEAD"));
    // They change what GET gets.
    assert_eq!(of(&recipe, "GET"), of(&recipe, "PUT"));
    assert_eq!(
        of(&Recipe::default(), "GET"),
        of(&Recipe::default(), "HEAD")
    );
}

#[test]
fn long_keys_are_none() {
    let long = format!("/{}", "a".repeat(MOST_BYTES));
    assert_eq!(Recipe::default().key(&request(&[(":path", &long)])), None);
}

#[test]
fn locations_are_found_again() {
    let key = path(&Recipe::default(), "/a/b?c");
    assert_eq!(location_of(&key), Some(&b"example.com/a/b"[..]));
    let variant = variant(&key, 1, &["accept".into()], &Headers::default());
    assert_eq!(location_of(&variant), Some(&b"example.com/a/b"[..]));
    assert_eq!(location_of(b"x"), None);
}

#[test]
fn variants_differ_by_value_absence_and_salt() {
    let fields = ["accept".to_owned()];
    let key =
        |salt, pairs: &[(&str, &str)]| variant(b"k", salt, &fields, &Headers::from_pairs(pairs));
    assert_eq!(
        key(1, &[("accept", "a")]),
        key(1, &[("accept", "a"), ("other", "b")])
    );
    assert_ne!(key(1, &[("accept", "a")]), key(1, &[("accept", "b")]));
    assert_ne!(key(1, &[("accept", "")]), key(1, &[]));
    assert_ne!(key(1, &[("accept", "a")]), key(2, &[("accept", "a")]));
}

#[test]
fn tags_of_both_fields() {
    let headers = Headers::from_pairs(&[("surrogate-key", "a  b"), ("cache-tag", "c d, e")]);
    let found: Vec<_> = tags(&headers).collect();
    assert_eq!(found, [&b"a"[..], b"b", b"c d", b"e"]);
}

proptest! {
    #[test]
    fn a_url_is_the_same_with_and_without_its_key(host in "[a-zA-Z0-9_.:\\[\\]]{0,12}", path in "/[a-c?&=]{0,12}", by_host in any::<bool>(),
                                                 query in 0usize..3) {
        let query = [Query::All, Query::Sorted, Query::None][query].clone();
        let recipe = Recipe { host: by_host, query, ..Recipe::default() };
        let request = request(&[(":path", &path), (":authority", &host)]);
        let key = recipe.key(&request).unwrap();
        prop_assert_eq!(recipe.url_by_key(&key, &request), recipe.url(&request));
    }

    #[test]
    fn hosts_are_in_lower_case(host in proptest::collection::vec(any::<u8>(), 0..20)) {
        prop_assert_eq!(location(&host, b"/A"), [host.to_ascii_lowercase().as_slice(), b"/A"].concat());
        prop_assert_eq!(has_capitals(&host), host.to_ascii_lowercase() != host);
    }

    #[test]
    fn different_paths_have_different_keys(a in "/[a-z?&=;%]{0,10}", b in "/[a-z?&=;%]{0,10}") {
        let recipe = Recipe::default();
        prop_assert_eq!(a == b, path(&recipe, &a) == path(&recipe, &b));
    }

    #[test]
    fn sorting_is_idempotent(query in "[a-c=&;]{0,12}") {
        let sorted = with(Query::Sorted);
        let mut parameters: Vec<_> = query.split('&').filter(|p| !p.is_empty()).collect();
        parameters.sort_by(|a, b| name_of(a.as_bytes()).cmp(name_of(b.as_bytes())));
        let again = parameters.join("&");
        prop_assert_eq!(path(&sorted, &format!("/?{query}")), path(&sorted, &format!("/?{again}")));
    }
}
