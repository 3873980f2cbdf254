//! Paths as applications have them, and as strangers ask for them.

use super::*;

/// A word that no other number gives, and that looks like none.
fn word(n: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    [n / 17576 % 26, n / 676 % 26, n / 26 % 26, n % 26].into_iter().map(letter).chain("ine".chars()).collect()
}

fn learn(tree: &mut Tree, path: &str) -> String {
    tree.learn(path, true).unwrap_or_else(|| path.to_owned())
}

fn refuse(tree: &mut Tree, path: &str) -> String {
    tree.learn(path, false).unwrap_or_else(|| path.to_owned())
}

/// All names that come of these paths.
fn names(paths: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let mut tree = Tree::default();
    paths.into_iter().map(|path| learn(&mut tree, &path)).collect()
}

#[test]
fn many_words_in_one_place_are_a_variable() {
    let names = names((0..20_000).map(|n| format!("/users/{}/orders", word(n))));
    assert!(names.contains("/users/{word}/orders"));
    assert!(names.len() <= MANY + 2, "{} operations", names.len());
}

#[test]
fn words_that_come_again_and_again_are_names() {
    let names = names((0..10_000).map(|n| format!("/api/{}", word(n % MANY))));
    assert!(!names.contains("/api/{word}") && names.len() == MANY, "{names:?}");
    let paths = ["/api/users", "/api/orders", "/login", "/", "/static/app.js", "/users/{id}/orders"];
    let mut tree = Tree::default();
    for path in paths.into_iter().cycle().take(1000) {
        assert_eq!(tree.learn(path, true), None, "{path}");
    }
}

#[test]
fn a_template_changes_once_and_never_back() {
    let mut tree = Tree::default();
    let mut last: std::collections::BTreeMap<String, (String, u32)> = Default::default();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..30_000 {
        let path = match random.u8(..4) {
            0 => format!("/users/{}/orders", word(random.usize(..3000))),
            1 => format!("/users/{}", word(random.usize(..3000))),
            2 => format!("/{}/{}/issues/{{id}}", word(random.usize(..40)), word(random.usize(..500))),
            _ => format!("/files/{}.css", word(random.usize(..400))),
        };
        let name = refuse_or_learn(&mut tree, &path, random.u8(..10) > 0);
        let (before, changes) = last.entry(path.clone()).or_insert_with(|| (name.clone(), 0));
        if *before != name {
            (*before, *changes) = (name, *changes + 1);
            // Each of its words once, and once more because it was refused before it was known.
            assert!(*changes <= 4, "{path} is {before} now");
            assert!(before.contains(WORD), "{path} is {before} now");
        }
    }
    let after: BTreeSet<String> = last.keys().map(|path| tree.name(path).unwrap_or_else(|| path.clone())).collect();
    assert!(after.len() < 60, "{after:?}");
}

fn refuse_or_learn(tree: &mut Tree, path: &str, accepted: bool) -> String {
    if accepted { learn(tree, path) } else { refuse(tree, path) }
}

#[test]
fn what_most_ask_for_stays_a_word_beside_a_variable() {
    let mut tree = Tree::default();
    for n in 0..2000 {
        learn(&mut tree, "/api/v1/version");
        learn(&mut tree, "/explore/repos");
        learn(&mut tree, &format!("/{}/{}", word(n), word(n + 5000)));
    }
    assert_eq!(learn(&mut tree, "/api/v1/version"), "/api/v1/version");
    assert_eq!(learn(&mut tree, "/explore/repos"), "/explore/repos");
    assert_eq!(learn(&mut tree, "/somebody/something"), "/{word}/{word}");
}

#[test]
fn files_are_told_apart_by_their_extension() {
    let names = names((0..2000).flat_map(|n| [format!("/a/{}.css", word(n)), format!("/a/{}", word(n))]));
    assert!(names.contains("/a/{word}.css") && names.contains("/a/{word}"));
}

#[test]
fn who_looks_for_holes_makes_no_operations() {
    let mut tree = Tree::default();
    learn(&mut tree, "/users");
    let names: BTreeSet<String> =
        (0..5000).map(|n| refuse(&mut tree, &format!("/{}/{}.php", word(n), word(n)))).collect();
    assert!(names.len() <= MAX_REFUSED + 1 && names.contains("/*"), "{}", names.len());
    assert_eq!(refuse(&mut tree, "/users/login/nobody"), "/users/*");
    assert_eq!(learn(&mut tree, "/users"), "/users");
    assert_eq!(learn(&mut tree, "/orders"), "/orders");
}

#[test]
fn a_variable_is_one_for_what_is_refused_too() {
    let mut tree = Tree::default();
    (0..100).for_each(|n| drop(learn(&mut tree, &format!("/users/{}", word(n)))));
    assert_eq!(refuse(&mut tree, "/users/nobody"), "/users/{word}");
    assert_eq!(refuse(&mut tree, "/users/nobody/orders"), "/users/{word}/orders");
}

#[test]
fn whatever_is_asked_for_the_tree_stays_small() {
    let mut random = fastrand::Rng::with_seed(3);
    for kind in 0..4 {
        let mut tree = Tree::default();
        let mut names = BTreeSet::new();
        for _ in 0..20_000 {
            let part = |random: &mut fastrand::Rng| match kind {
                0 => word(random.usize(..)),
                1 => format!("{{{}}}", ["id", "uuid", "hash", "token", "slug", "date"][random.usize(..6)]),
                2 => format!("{}-{{id}}", word(random.usize(..50))),
                _ => format!("{}.{}", word(random.usize(..30)), word(random.usize(..))[..3].to_owned()),
            };
            let path: String = (0..random.usize(1..9)).map(|_| format!("/{}", part(&mut random))).collect();
            names.insert(learn(&mut tree, &path));
        }
        assert!(names.len() < 700, "{kind}: {} operations", names.len());
        assert!(tree.nodes <= MAX_NODES && tree.bytes() < 300_000, "{kind}: {} bytes", tree.bytes());
        assert_eq!(tree.root.count(), (tree.nodes, tree.templates), "{kind}");
    }
}

#[test]
fn odd_targets_keep_their_names() {
    let mut tree = Tree::default();
    for path in ["*", "", "/", "//", "/a/", "/a//b", "/a/b/c/d/e/f/g/h/*"] {
        assert_eq!(tree.learn(path, true), None, "{path}");
        assert_eq!(tree.learn(path, false), None, "{path}");
    }
}
