use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;

fn splice(source: &str, edit: impl FnOnce(&mut Splice<'_>)) -> String {
    let object = Object::parse(source.as_bytes()).unwrap();
    let mut splice = Splice::new(&object);
    edit(&mut splice);
    String::from_utf8(splice.finish().to_vec()).unwrap()
}

#[test]
fn bytes_that_are_not_an_object_are_told_apart() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "EOF while parsing a value at line 1 column 0"),
        (b"[1]", "expected a JSON object, found an array"),
        (b" null", "expected a JSON object, found null"),
        (b"\"x\"", "expected a JSON object, found a string"),
        (
            b"{\"a\":1",
            "EOF while parsing an object at line 1 column 6",
        ),
        (b"{\"a\":1}x", "trailing characters at line 1 column 8"),
        (b"{\"a\":1,\"\\u0061\":2}", "duplicate key `a`"),
        (b"{\"a\":\"\xff\"}", "invalid UTF-8 at byte 6"),
        (b"{\"a\":\n nope}", "expected ident at line 2 column 3"),
    ];
    for (bytes, expected) in cases {
        let err = Object::parse(bytes).unwrap_err();
        assert_eq!(err.to_string(), expected, "{:?}", bytes.escape_ascii());
    }
}

#[test]
fn a_hundred_thousand_nested_arrays_are_refused() {
    let arrays = format!("{{\"a\":{}", "[".repeat(100_000));
    assert_eq!(
        Object::parse(arrays.as_bytes()).unwrap_err(),
        JsonError::TooDeep
    );
    let objects = "{\"a\":".repeat(100_000);
    assert_eq!(
        Object::parse(objects.as_bytes()).unwrap_err(),
        JsonError::TooDeep
    );
    let bare = "[".repeat(100_000);
    assert_eq!(
        Object::parse(bare.as_bytes()).unwrap_err(),
        JsonError::TooDeep
    );
}

#[test]
fn exactly_the_allowed_depth_is_accepted_and_brackets_in_strings_do_not_count() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert!(Object::parse(nested(MAX_DEPTH - 1).as_bytes()).is_ok());
    assert!(Object::parse(nested(MAX_DEPTH).as_bytes()).is_err());
    let text = format!(
        "{{\"a\":\"\\\"{}\",\"b\":[{}]}}",
        "[{".repeat(500),
        vec!["{}"; 300].join(",")
    );
    assert!(Object::parse(text.as_bytes()).is_ok());
}

#[test]
fn a_duplicate_is_found_among_many_members() {
    let mut members: Vec<String> = (0..100).map(|at| format!("\"k{at}\":0")).collect();
    members.push("\"k7\":1".to_owned());
    let err = Object::parse(format!("{{{}}}", members.join(",")).as_bytes()).unwrap_err();
    assert_eq!(
        err,
        JsonError::DuplicateKey {
            key: "k7".to_owned()
        }
    );
}

type Step = fn(&mut Splice<'_>);

#[test]
fn edits_leave_everything_else_untouched() {
    let source = "\t{ \"a\" : 1.0 ,\n \"b\":\"x, \\\"y\\\"\" , \"c\" : [ 1e5 ] }\n";
    let cases: [(&str, Step, &str); 10] = [
        ("nothing", |_| (), source),
        (
            "replace",
            |s| s.set("b", &b"2"[..]),
            "\t{ \"a\" : 1.0 ,\n \"b\":2 , \"c\" : [ 1e5 ] }\n",
        ),
        (
            "append",
            |s| s.set("d", &b"2"[..]),
            "\t{ \"a\" : 1.0 ,\n \"b\":\"x, \\\"y\\\"\" , \"c\" : [ 1e5 ],\"d\":2 }\n",
        ),
        (
            "remove first",
            |s| assert!(s.remove("a")),
            "\t{\n \"b\":\"x, \\\"y\\\"\" , \"c\" : [ 1e5 ] }\n",
        ),
        (
            "remove middle",
            |s| assert!(s.remove("b")),
            "\t{ \"a\" : 1.0 , \"c\" : [ 1e5 ] }\n",
        ),
        (
            "remove last",
            |s| assert!(s.remove("c")),
            "\t{ \"a\" : 1.0 ,\n \"b\":\"x, \\\"y\\\"\" }\n",
        ),
        (
            "remove first two",
            |s| assert!(s.remove("a") && s.remove("b")),
            "\t{ \"c\" : [ 1e5 ] }\n",
        ),
        (
            "remove all, append",
            |s| {
                s.remove("a");
                s.remove("b");
                s.remove("c");
                s.set("z", &b"0"[..]);
            },
            "\t{\"z\":0 }\n",
        ),
        (
            "rename",
            |s| assert!(s.rename("b", "q\"")),
            "\t{ \"a\" : 1.0 ,\n \"q\\\"\":\"x, \\\"y\\\"\" , \"c\" : [ 1e5 ] }\n",
        ),
        (
            "rename over another",
            |s| assert!(s.rename("a", "c")),
            "\t{ \"c\" : 1.0 ,\n \"b\":\"x, \\\"y\\\"\" }\n",
        ),
    ];
    for (name, edit, expected) in cases {
        assert_eq!(splice(source, edit), expected, "{name}");
    }
}

#[test]
fn members_inside_arrays_are_removed_by_path() {
    let source = r#"{"tools":[ {"function":{"strict":true,"name":"a"}}, {"function":{"name":"b" , "strict":false}} ],"n":1.0}"#;
    let remove = |path: &str| {
        let path = MemberPath::parse(path).unwrap();
        splice(source, |splice| {
            splice.remove_path(&path);
        })
    };
    assert_eq!(
        remove("tools[*].function.strict"),
        r#"{"tools":[ {"function":{"name":"a"}}, {"function":{"name":"b"}} ],"n":1.0}"#
    );
    assert_eq!(
        remove("tools[1].function"),
        r#"{"tools":[ {"function":{"strict":true,"name":"a"}}, {} ],"n":1.0}"#
    );
    assert_eq!(remove("tools[*].nothing.here"), source);
    assert_eq!(
        remove("n"),
        r#"{"tools":[ {"function":{"strict":true,"name":"a"}}, {"function":{"name":"b" , "strict":false}} ]}"#
    );
}

#[test]
fn malformed_paths_are_refused_and_good_ones_print_as_written() {
    for bad in [
        "", ".", "a.", ".a", "a[", "a[x]", "a[*]", "a[0]b", "[0].a", "a..b",
    ] {
        assert_eq!(MemberPath::parse(bad), None, "{bad}");
    }
    for good in ["a", "a.b", "a[*].b", "a[0][1].b.c"] {
        assert_eq!(MemberPath::parse(good).unwrap().to_string(), good);
    }
}

#[test]
fn a_member_is_set_inside_an_object_that_may_not_be_there() {
    let set = |source: &str| splice(source, |s| s.set_within("o", "u", b"true"));
    assert_eq!(set(r#"{"m":1}"#), r#"{"m":1,"o":{"u":true}}"#);
    assert_eq!(set(r#"{"o":null}"#), r#"{"o":{"u":true}}"#);
    assert_eq!(
        set(r#"{"o":{"x":1, "u":false}}"#),
        r#"{"o":{"x":1, "u":true}}"#
    );
    assert_eq!(set(r#"{"o":{}}"#), r#"{"o":{"u":true}}"#);
}

#[test]
fn quoting_agrees_with_serde_json() {
    for text in ["", "plain", "q\"b\\n\nr\rt\t\u{1}\u{1f}", "ünï→🚀"] {
        let back: String = serde_json::from_slice(&quoted(text)).unwrap();
        assert_eq!(back, text);
    }
}

fn objects() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,3}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::vec(("[a-e\"\\\\]{0,2}", value), 0..8)
        .prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn a_walk_finds_the_members_and_elements_that_a_parser_finds(object in objects()) {
        let compact = serde_json::to_string(&object).unwrap();
        let spaced = serde_json::to_string_pretty(&object).unwrap();
        for text in [compact, spaced] {
            let parsed = Object::parse_str(&text).unwrap();
            let expected: Vec<_> = parsed.members().collect();
            let walked: Vec<_> = members(&text).collect();
            let walked: Vec<_> = walked.iter().map(|(key, value)| (key.as_ref(), *value)).collect();
            prop_assert_eq!(&walked, &expected);
            let strictly = Object::walk(text.as_bytes()).unwrap();
            prop_assert_eq!(&strictly.members().collect::<Vec<_>>(), &expected);
            let values: Vec<_> = expected.iter().map(|(_, value)| *value).collect();
            let spelled: Vec<_> = values.iter().map(|value| value.get()).collect();
            let list = format!("[{}]", spelled.join(" , "));
            prop_assert_eq!(elements(&list).collect::<Vec<_>>(), values);
        }
    }

    #[test]
    fn whatever_a_parser_takes_for_an_object_a_walk_does_too(
        object in objects(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = serde_json::to_vec(&object).unwrap();
        for (at, byte) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(parsed) = Object::parse(&bytes) {
            let walked = Object::walk(&bytes).map(|walked| {
                let members = walked.members();
                members.map(|(key, value)| (key.to_owned(), value.get().to_owned())).collect::<Vec<_>>()
            });
            let members = parsed.members();
            let expected: Vec<_> =
                members.map(|(key, value)| (key.to_owned(), value.get().to_owned())).collect();
            prop_assert_eq!(walked, Some(expected));
        }
    }

    #[test]
    fn splicing_equals_editing_the_value(
        object in objects(),
        pretty in any::<bool>(),
        edits in prop::collection::vec(("[a-e\"\\\\]{0,2}", any::<Option<u8>>()), 0..6),
    ) {
        let source = if pretty {
            serde_json::to_string_pretty(&object).unwrap()
        } else {
            serde_json::to_string(&object).unwrap()
        };
        let parsed = Object::parse_str(&source).unwrap();
        let mut splice = Splice::new(&parsed);
        let mut expected = object;
        for (key, value) in edits {
            if let Some(value) = value {
                splice.set(key.clone(), value.to_string().into_bytes());
                expected.insert(key, Value::from(value));
            } else {
                prop_assert_eq!(splice.remove(&key), expected.remove(&key).is_some());
            }
        }
        let actual: Map<String, Value> = serde_json::from_slice(&splice.finish()).unwrap();
        prop_assert_eq!(actual, expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Object::parse(&bytes).map(|object| object.members().count()));
    }
}
