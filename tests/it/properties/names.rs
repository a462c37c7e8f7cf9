//! Names of members, and references.

use imgtar::archive::MemberName;
use imgtar::base::digest::Digest;
use imgtar::document::Platform;
use imgtar::image::{Name, Reference, Selector};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::config;

/// Names of the parts that matter, in any order.
fn raw_name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(b"/".to_vec()),
        Just(b"//".to_vec()),
        Just(b"./".to_vec()),
        Just(b"../".to_vec()),
        Just(b"..".to_vec()),
        Just(b".".to_vec()),
        Just(b"...".to_vec()),
        Just(b"a".to_vec()),
        Just(b"b/".to_vec()),
        vec(any::<u8>(), 0..4),
    ];
    vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn is_normal(name: &MemberName) -> bool {
    let bytes = name.as_bytes();
    let component = |c: &[u8]| !matches!(c, b"" | b"." | b"..");
    bytes.is_empty() || bytes.split(|b| *b == b'/').all(component)
}

proptest! {
    #![proptest_config(config(4096))]

    #[test]
    fn member_names_have_one_spelling(raw in raw_name()) {
        let name = MemberName::new(&raw);
        prop_assert!(is_normal(&name), "{:?}", name);
        prop_assert_eq!(&MemberName::new(name.as_bytes()), &name);
        for spelling in [&b"./"[..], b"/", b"../../", b"x/../"] {
            prop_assert_eq!(&MemberName::new(&[spelling, &raw].concat()), &name);
        }
        prop_assert_eq!(&name.parent().join(name.base()), &name);
    }

    #[test]
    fn links_stay_inside(raw in raw_name(), target in raw_name(), more in raw_name()) {
        let name = MemberName::new(&raw);
        let linked = name.linked(&target);
        prop_assert!(is_normal(&linked), "{:?}", linked);
        if target.starts_with(b"/") {
            prop_assert_eq!(&linked, &MemberName::new(&target));
        } else {
            let written = [name.parent().as_bytes(), b"/", &target].concat();
            prop_assert_eq!(&linked, &MemberName::new(&written));
        }
        let joined = name.join(&more);
        prop_assert!(is_normal(&joined), "{:?}", joined);
        prop_assert_eq!(joined, MemberName::new(&[name.as_bytes(), b"/", &more].concat()));
    }
}

fn domain() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("localhost".to_owned()),
        Just("docker.io".to_owned()),
        Just("index.docker.io".to_owned()),
        Just("HOST".to_owned()),
        "[a-z0-9]{1,8}(\\.[a-zA-Z0-9]{1,8}){1,3}(:[0-9]{1,5})?",
        "[a-z0-9]{1,8}:[0-9]{1,5}",
        "\\[[0-9a-f]{0,4}:[0-9a-f:]{1,16}\\](:[0-9]{1,5})?",
    ]
}

prop_compose! {
    /// A reference as somebody may write it.
    fn reference()(
        domain in option::of(domain()),
        path in vec("[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", 1..4),
        tag in option::of("[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,40}"),
        digest in option::of("[0-9a-f]{64}"),
    ) -> String {
        let mut path = path;
        if domain.is_none() && path.len() > 1 {
            // With a dot, the first component would be the domain.
            path[0] = path[0].replace('.', "_");
        }
        let mut text = domain.map_or_else(String::new, |domain| domain + "/");
        text += &path.join("/");
        text += &tag.map_or_else(String::new, |tag| format!(":{tag}"));
        text + &digest.map_or_else(String::new, |hex| format!("@sha256:{hex}"))
    }
}

proptest! {
    #![proptest_config(config(4096))]

    #[test]
    fn references_are_shown_as_they_parse(text in reference()) {
        let reference: Reference = text.parse().expect(&text);
        for reference in [reference.clone(), reference.or_latest()] {
            let shown = reference.to_string();
            let again = shown.parse::<Reference>();
            prop_assert_eq!(again.as_ref(), Ok(&reference), "{}", shown);
            // What is left out can always be written.
            let digest = reference.digest().map_or_else(String::new, |digest| format!("@{digest}"));
            let tag = reference.tag().map_or_else(String::new, |tag| format!(":{tag}"));
            let whole = format!("{}/{}{tag}{digest}", reference.domain(), reference.path());
            prop_assert_eq!(whole.parse::<Reference>(), Ok(reference));
        }
    }

    #[test]
    fn no_text_is_too_odd_to_be_read(text in "(\\PC|[a-z/:@.\\[\\]_-]){0,80}") {
        let reference = text.parse::<Reference>();
        let name = Name::from_annotation(&text);
        if let Some(named) = name.reference() {
            prop_assert_eq!(Ok(named), reference.as_ref());
        } else {
            prop_assert_eq!(name.to_string(), text.clone());
        }
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), text.clone());
        }
        if let Ok(platform) = text.parse::<Platform>() {
            prop_assert_eq!(platform.to_string().parse::<Platform>(), Ok(platform));
        }
        drop(text.parse::<Selector>());
    }
}
