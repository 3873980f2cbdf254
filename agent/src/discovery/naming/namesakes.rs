//! Different programs that are called alike: told apart by what tells them apart.
//!
//! A program is known by its folder and its file, in which what changes from one release to the next (`releases/20261129`) is
//! left out, so it keeps its name when it is started again. The first of two namesakes is called anew as well: which of
//! them was seen first is chance. What was told apart once stays apart while the agent runs.
//!
//! At the same place in different file systems (`elsewhere.rs`) there may be different programs, or the same one: an image that
//! was started twice. The same file, or the same container, is the same program.

use std::collections::HashMap;

use wirespan_protocols::template::template;

use super::elsewhere::{Elsewhere, LABELS};

/// Most names that are watched, and most programs of one name.
const MAX_NAMES: usize = 4096;
const MAX_HOMES: usize = 64;

/// Where a program is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Home {
    /// Its folder, from the outermost in.
    folders: Vec<String>,
    /// Its file, without its ending.
    stem: String,
    /// In whose file system.
    elsewhere: Elsewhere,
}

impl Home {
    /// The home of a program by the path of its file.
    pub fn new(file: &std::path::Path, stem: &str) -> Self {
        let folders = file.parent().into_iter().flat_map(std::path::Path::components).filter_map(|part| match part {
            std::path::Component::Normal(name) => Some(settled(&name.to_string_lossy())),
            _ => None,
        });
        Self { folders: folders.collect(), stem: stem.to_owned(), elsewhere: Elsewhere::default() }
    }

    /// The same, in this file system.
    pub(super) fn within(self, elsewhere: Elsewhere) -> Self {
        Self { elsewhere, ..self }
    }

    /// Where it is in its own file system.
    fn spot(&self) -> (&[String], &str) {
        (&self.folders, &self.stem)
    }

    /// Whether the same program is there.
    fn is(&self, other: &Self) -> bool {
        self.spot() == other.spot() && self.elsewhere.is(&other.elsewhere)
    }

    /// The last folders.
    fn tail(&self, folders: usize) -> &[String] {
        &self.folders[self.folders.len().saturating_sub(folders)..]
    }
}

/// A folder's name without what varies.
pub(super) fn settled(name: &str) -> String {
    template(&["/", name].concat()).trim_start_matches('/').to_owned()
}

/// All programs by name.
#[derive(Debug, Default)]
pub struct Namesakes {
    by_name: HashMap<String, Vec<Home>>,
}

impl Namesakes {
    /// Notes a program. Returns whether others of its name are called anew because of it.
    pub fn note(&mut self, name: &str, home: &Home) -> bool {
        if let Some(homes) = self.by_name.get_mut(name) {
            if homes.iter().any(|known| known.is(home)) || homes.len() >= MAX_HOMES {
                return false;
            }
            homes.push(home.clone());
            return true;
        }
        if self.by_name.len() < MAX_NAMES {
            self.by_name.insert(name.to_owned(), vec![home.clone()]);
        }
        false
    }

    /// What a program is called beside all of its name.
    pub fn call(&self, name: &str, home: &Home) -> String {
        let all = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let home = all.iter().find(|known| known.is(home)).unwrap_or(home);
        let called = by_spot(name, home, all);
        let here: Vec<&Home> = all.iter().filter(|other| other.spot() == home.spot()).collect();
        if here.len() < 2 {
            return called;
        }
        let tells = |at: &usize| is_distinct(here.iter().map(|home| home.elsewhere.label(*at)));
        let label =
            (0..LABELS).find(tells).map_or_else(|| home.elsewhere.all(), |at| home.elsewhere.label(at).to_owned());
        if label.is_empty() { called } else { [&called, "@", &label].concat() }
    }
}

fn is_distinct<T: Ord>(of: impl Iterator<Item = T>) -> bool {
    let mut seen: Vec<T> = of.collect();
    seen.sort_unstable();
    let all = seen.len();
    seen.dedup();
    seen.len() == all
}

/// What a program is called by its file and its folders, beside all of its name.
fn by_spot(name: &str, home: &Home, all: &[Home]) -> String {
    let mut homes: Vec<&Home> = Vec::new();
    for other in all {
        if !homes.iter().any(|known| known.spot() == other.spot()) {
            homes.push(other);
        }
    }
    if homes.len() < 2 {
        return name.to_owned();
    }
    let distinct = |by: &dyn Fn(&Home) -> String| is_distinct(homes.iter().map(|home| by(home)));
    let by_file = |home: &Home| if home.stem == name { name.to_owned() } else { format!("{name}-{}", home.stem) };
    if distinct(&by_file) {
        return by_file(home);
    }
    let longest = homes.iter().map(|home| home.folders.len()).max().unwrap_or(0);
    let by_folder = |home: &Home, folders: usize| match home.tail(folders) {
        [.., last] if last == name => home.tail(folders).join("/"),
        tail => [tail, &[name.to_owned()]].concat().join("/"),
    };
    let with_file = |home: &Home, folders: usize| format!("{}-{}", by_folder(home, folders), home.stem);
    // As few folders as tell all of them apart, with the file where one folder holds several.
    for folders in 1..=longest {
        if distinct(&|home| by_folder(home, folders)) {
            return by_folder(home, folders);
        }
    }
    let folders = (1..=longest).find(|n| distinct(&|home| with_file(home, *n))).unwrap_or(longest);
    with_file(home, folders)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What programs of one name are called, whichever is seen first.
    fn called(name: &str, files: &[(&str, &str)], expected: &[&str]) {
        let homes: Vec<Home> = files.iter().map(|(file, stem)| Home::new(Path::new(file), stem)).collect();
        for turned in 0..homes.len() {
            let mut namesakes = Namesakes::default();
            for at in 0..homes.len() {
                namesakes.note(name, &homes[(at + turned) % homes.len()]);
            }
            let names: Vec<String> = homes.iter().map(|home| namesakes.call(name, home)).collect();
            assert_eq!(names, expected, "{files:?}");
        }
    }

    #[test]
    fn namesakes_are_told_apart_by_what_differs() {
        called("sync", &[("/srv/sync.py", "sync")], &["sync"]);
        called("orders", &[("/a/orders/app.py", "app"), ("/b/orders/app.py", "app")], &["a/orders", "b/orders"]);
        called("orders", &[("/o/app.py", "app"), ("/o/worker.py", "worker")], &["orders-app", "orders-worker"]);
        called("sync", &[("/x/sync.py", "sync"), ("/y/sync.py", "sync")], &["x/sync", "y/sync"]);
        called(
            "shop",
            &[("/a/app.py", "app"), ("/a/worker.py", "worker"), ("/b/app.py", "app")],
            &["a/shop-app", "a/shop-worker", "b/shop-app"],
        );
    }

    /// A program at the same place in these file systems: by length and labels.
    fn in_other_roots(roots: &[(u64, [&str; LABELS])]) -> Vec<String> {
        let of = |(length, labels): &(u64, [&str; LABELS])| {
            Home::new(Path::new("/app/app.py"), "app").within(Elsewhere::new(*length, *labels))
        };
        let homes: Vec<Home> = roots.iter().map(of).collect();
        let mut namesakes = Namesakes::default();
        homes.iter().for_each(|home| _ = namesakes.note("app", home));
        homes.iter().map(|home| namesakes.call("app", home)).collect()
    }

    #[test]
    fn programs_at_the_same_place_of_other_roots_are_told_apart_by_what_differs() {
        let host = (1, [""; LABELS]);
        let [red, blue] = [(2, ["", "/ct/red", "", "3f"]), (3, ["", "/ct/blue", "", "4a"])];
        assert_eq!(in_other_roots(&[host, red]), ["app", "app@/ct/red"]);
        assert_eq!(in_other_roots(&[red, blue, host]), ["app@/ct/red", "app@/ct/blue", "app"]);
        // The same group, so by the next label.
        let [one, two] = [(2, ["", "/ct/{hash}", "web-a", "3f"]), (3, ["", "/ct/{hash}", "web-b", "4a"])];
        assert_eq!(in_other_roots(&[one, two]), ["app@web-a", "app@web-b"]);
    }

    #[test]
    fn the_same_program_in_another_container_or_another_release_in_the_same_is_one() {
        // An image that was started twice, or anew.
        assert_eq!(in_other_roots(&[(2, ["", "", "", "3f"]), (2, ["", "", "", "4a"])]), ["app", "app"]);
        assert_eq!(in_other_roots(&[(2, ["", "", "", "3f"]), (5, ["", "", "", "3f"])]), ["app", "app"]);
        // Once told apart, each keeps its name.
        let three = in_other_roots(&[(2, ["", "", "", "3f"]), (3, ["", "", "", "4a"]), (2, ["", "", "", "5b"])]);
        assert_eq!(three, ["app@3f", "app@4a", "app@3f"]);
        // No single thing tells all of them apart.
        let mixed = in_other_roots(&[(2, ["", "/a", "x", ""]), (3, ["", "/a", "y", ""]), (4, ["", "/b", "y", ""])]);
        assert_eq!(mixed, ["app@/a/x", "app@/a/y", "app@/b/y"]);
        // Nothing tells them apart.
        assert_eq!(in_other_roots(&[(2, [""; LABELS]), (3, [""; LABELS])]), ["app", "app"]);
    }

    #[test]
    fn the_next_release_is_the_same_program() {
        let home = |release: &str| Home::new(Path::new(&format!("/srv/shop/releases/{release}/app.py")), "app");
        let mut namesakes = Namesakes::default();
        assert!(!namesakes.note("shop", &home("20261129120000")) && !namesakes.note("shop", &home("20261130093000")));
        assert_eq!(namesakes.call("shop", &home("20261201000000")), "shop");
    }

    #[test]
    fn names_and_programs_are_bounded() {
        let mut namesakes = Namesakes::default();
        let home = |n: usize| {
            Home::new(Path::new(&format!("/{}/app.py", "x".repeat(n % 40 + 1) + &"y".repeat(n / 40))), "app")
        };
        (0..1000).for_each(|n| _ = namesakes.note("app", &home(n)));
        assert_eq!(namesakes.by_name["app"].len(), MAX_HOMES);
        (0..2 * MAX_NAMES).for_each(|n| _ = namesakes.note(&n.to_string(), &home(1)));
        assert!(namesakes.by_name.len() <= MAX_NAMES);
    }
}
